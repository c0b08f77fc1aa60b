// Independent peers of an RtpEndpoint for the tests: ffmpeg and GStreamer as processes, and a browser without any library.
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';

/** A process that a test started; stop() ends it and waits. */
export function run(command, args) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let log = '';
  child.stdout.on('data', (d) => { log += d; });
  child.stderr.on('data', (d) => { log += d; });
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  return {
    log: () => log,
    ended,
    write: (text) => child.stdin.write(text),
    /** Ends it: politely with `signal`, after three seconds without asking. */
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
      const end = await ended;
      clearTimeout(timer);
      return end;
    },
  };
}

const LOUD = ['-hide_banner', '-loglevel', 'warning', '-nostdin'];
const TEST_PICTURE = ['-re', '-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=15'];
const TEST_SOUND = ['-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'];
export const VIDEO = {
  VP8: ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '300k', '-g', '15'],
  H264: ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-profile:v', 'baseline', '-pix_fmt', 'yuv420p', '-b:v', '300k', '-g', '15', '-bsf:v', 'dump_extra'],
};

/**
 * ffmpeg sends a test picture, and a tone if `audioPort` is given, to ports of 127.0.0.1.
 * `srtp` is { suite, key } of what is sent.
 */
export function ffmpegSends({ codec = 'VP8', videoPort, audioPort, srtp, localPort, videoType = 96, audioType = 97 }) {
  const secret = srtp ? ['-srtp_out_suite', srtp.suite, '-srtp_out_params', srtp.key] : [];
  const scheme = srtp ? 'srtp' : 'rtp';
  const args = [...LOUD, ...TEST_PICTURE, ...(audioPort ? TEST_SOUND : [])];
  const local = localPort ? `&localrtpport=${localPort}&localrtcpport=${localPort + 1}` : '';
  args.push('-map', '0:v', ...VIDEO[codec], '-f', 'rtp', '-payload_type', String(videoType), ...secret, `${scheme}://127.0.0.1:${videoPort}?pkt_size=1200${local}`);
  if (audioPort) args.push('-map', '1:a', '-c:a', 'libopus', '-ac', '2', '-b:a', '48k', '-f', 'rtp', '-payload_type', String(audioType), ...secret, `${scheme}://127.0.0.1:${audioPort}?pkt_size=1200`);
  return run('ffmpeg', args);
}

/** An offer of a peer on 127.0.0.1; `lines` are { kind, port, type, map, fmtp, direction, proto, more }. */
export function rtpOffer(lines, address = '127.0.0.1') {
  const family = address.includes(':') ? 'IP6' : 'IP4';
  const text = ['v=0', `o=- 1 1 IN ${family} ${address}`, 's=-', `c=IN ${family} ${address}`, 't=0 0'];
  for (const { kind, port, type, map, fmtp, direction = 'sendrecv', proto = 'RTP/AVP', more = [] } of lines) {
    text.push(`m=${kind} ${port} ${proto} ${type}`, `a=rtpmap:${type} ${map}`);
    if (fmtp) text.push(`a=fmtp:${type} ${fmtp}`);
    text.push(`a=${direction}`, ...more);
  }
  return text.join('\r\n') + '\r\n';
}

/** The port of each media line of a description, by kind, with its protocol. */
export function ports(sdp) {
  return Object.fromEntries([...sdp.matchAll(/^m=(\w+) (\d+) (\S+)/gm)].map(([, kind, port]) => [kind, Number(port)]));
}

/** Even UDP ports of 127.0.0.1 whose next one is free as well, at this moment. */
export async function freePairs(count) {
  const found = [];
  while (found.length < count) {
    const sockets = [];
    const bind = (port) => new Promise((resolve, reject) => {
      const socket = dgram.createSocket('udp4');
      sockets.push(socket);
      socket.once('error', reject).bind(port, '127.0.0.1', () => resolve(socket.address().port));
    });
    try {
      const port = await bind(0);
      const even = port % 2 === 0 ? port : port + 1;
      await bind(even === port ? port + 1 : port + 1);
      if (!found.includes(even) && even === port) found.push(even);
    } catch {
      // Taken: the next one.
    } finally {
      await Promise.all(sockets.map((socket) => new Promise((resolve) => { try { socket.close(resolve); } catch { resolve(); } })));
    }
  }
  return found;
}

/** Whether somebody on this machine has bound these UDP ports. */
export function bound(...ports) {
  const lines = ['/proc/net/udp', '/proc/net/udp6'].flatMap((file) => fs.readFileSync(file, 'utf8').split('\n'));
  const taken = new Set(lines.map((line) => Number.parseInt(line.trim().split(/\s+/)[1]?.split(':')[1], 16)));
  return ports.every((port) => taken.has(port));
}

/** Joins a page's new RTCPeerConnection with a WebRtcEndpoint; `mode` is 'sendonly' or 'recvonly'. */
export async function joinBrowser(page, rpc, endpoint, mode, codec) {
  const offer = await page.evaluate(async ({ mode, codec }) => {
    const peer = window.peer = new RTCPeerConnection();
    if (mode === 'sendonly') {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240, frameRate: 15 } });
      document.querySelector('#local').srcObject = stream;
      for (const track of stream.getTracks()) peer.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
    } else {
      const stream = new MediaStream();
      peer.ontrack = ({ track }) => stream.addTrack(track);
      document.querySelector('#remote').srcObject = stream;
      for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
    }
    if (codec) {
      const all = RTCRtpReceiver.getCapabilities('video').codecs;
      const wanted = all.filter((c) => c.mimeType === `video/${codec}` && (codec !== 'H264' || /packetization-mode=1.*42e01f/.test(c.sdpFmtpLine)));
      peer.getTransceivers().filter((t) => (t.sender.track ?? t.receiver.track).kind === 'video').forEach((t) => t.setCodecPreferences(wanted));
    }
    await peer.setLocalDescription();
    if (peer.iceGatheringState !== 'complete') await new Promise((resolve) => peer.addEventListener('icegatheringstatechange', () => peer.iceGatheringState === 'complete' && resolve()));
    return peer.localDescription.sdp;
  }, { mode, codec });
  await rpc.subscribe(endpoint, 'IceGatheringDone');
  await rpc.invoke(endpoint, 'processOffer', { offer });
  const done = rpc.waitFor(endpoint, 'IceGatheringDone');
  await rpc.invoke(endpoint, 'gatherCandidates');
  await done;
  const answer = await rpc.invoke(endpoint, 'getLocalSessionDescriptor');
  await page.evaluate((sdp) => window.peer.setRemoteDescription({ type: 'answer', sdp }), answer);
}
