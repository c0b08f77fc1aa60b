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
    signal: (name) => child.kill(name),
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
export function ffmpegSends({ codec = 'VP8', videoPort, audioPort, srtp, ssrc, videoType = 96, audioType = 97 }) {
  const secret = srtp ? ['-srtp_out_suite', srtp.suite, '-srtp_out_params', srtp.key] : [];
  const scheme = srtp ? 'srtp' : 'rtp';
  const args = [...LOUD, ...TEST_PICTURE, ...(audioPort ? TEST_SOUND : [])];
  args.push('-map', '0:v', ...VIDEO[codec], '-f', 'rtp', '-payload_type', String(videoType), ...(ssrc ? ['-ssrc', String(ssrc)] : []), ...secret, `${scheme}://127.0.0.1:${videoPort}?pkt_size=1200`);
  if (audioPort) args.push('-map', '1:a', '-c:a', 'libopus', '-ac', '2', '-b:a', '48k', '-f', 'rtp', '-payload_type', String(audioType), ...secret, `${scheme}://127.0.0.1:${audioPort}?pkt_size=1200`);
  return run('ffmpeg', args);
}

const GST_PICTURE = 'videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 ! vp8enc deadline=1 cpu-used=8 keyframe-max-dist=15 target-bitrate=300000 ! rtpvp8pay pt=96 mtu=1200';
const GST_SOUND = 'audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=97';
const gst = (pipeline, options = []) => run('gst-launch-1.0', [...options, ...pipeline.trim().split(/\s+/)]);

/** GStreamer's rtpbin sends a picture and a tone with their RTCP; what is reported to it comes to `rtcpPort`. */
export function gstSends({ videoPort, audioPort, rtcpPort }) {
  return gst(`rtpbin name=bin
    ${GST_PICTURE} ! bin.send_rtp_sink_0 bin.send_rtp_src_0 ! udpsink host=127.0.0.1 port=${videoPort}
    bin.send_rtcp_src_0 ! udpsink host=127.0.0.1 port=${videoPort + 1} sync=false async=false udpsrc port=${rtcpPort} ! bin.recv_rtcp_sink_0
    ${GST_SOUND} ! bin.send_rtp_sink_1 bin.send_rtp_src_1 ! udpsink host=127.0.0.1 port=${audioPort}
    bin.send_rtcp_src_1 ! udpsink host=127.0.0.1 port=${audioPort + 1} sync=false async=false`, ['-q']);
}

/** GStreamer's rtpbin receives VP8 and Opus and writes a file, which is whole once it has ended after SIGINT. */
export function gstReceives({ videoPort, audioPort, remoteVideoPort, file }) {
  const caps = (kind, rate, name, type) => `application/x-rtp,media=${kind},clock-rate=${rate},encoding-name=${name},payload=${type}`;
  return gst(`rtpbin name=bin latency=50 webmmux name=mux ! filesink location=${file}
    udpsrc port=${videoPort} caps=${caps('video', 90_000, 'VP8', 96)} ! bin.recv_rtp_sink_0 bin. ! rtpvp8depay ! queue ! mux.
    udpsrc port=${videoPort + 1} ! bin.recv_rtcp_sink_0 bin.send_rtcp_src_0 ! udpsink host=127.0.0.1 port=${remoteVideoPort + 1} sync=false async=false
    udpsrc port=${audioPort} caps=${caps('audio', 48_000, 'OPUS', 97)} ! bin.recv_rtp_sink_1 bin. ! rtpopusdepay ! opusparse ! queue ! mux.
    udpsrc port=${audioPort + 1} ! bin.recv_rtcp_sink_1`, ['-q', '-e']);
}

/** GStreamer's srtpenc sends a picture; `key` in hexadecimal digits, `cipher` and `auth` in its words. */
export function gstSendsSrtp({ videoPort, key, cipher, auth }) {
  return gst(`${GST_PICTURE} ! srtpenc key=${key} rtp-cipher=${cipher} rtp-auth=${auth} rtcp-cipher=${cipher} rtcp-auth=hmac-sha1-80 ! udpsink host=127.0.0.1 port=${videoPort}`, ['-q']);
}

/** GStreamer's srtpdec receives VP8 of the source `ssrc` and writes a file. */
export function gstReceivesSrtp({ videoPort, ssrc, key, cipher, auth, file }) {
  const caps = `application/x-srtp,media=video,clock-rate=90000,encoding-name=VP8,payload=96,ssrc=(uint)${ssrc},srtp-key=(buffer)${key},srtp-cipher=(string)${cipher},srtp-auth=(string)${auth},srtcp-cipher=(string)${cipher},srtcp-auth=(string)hmac-sha1-80`;
  return gst(`udpsrc port=${videoPort} caps=${caps} ! srtpdec ! rtpvp8depay ! webmmux ! filesink location=${file}`, ['-q', '-e']);
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

/** An RTP packet (RFC 3550, section 5.1). */
export function rtpPacket({ type = 0, sequence, timestamp = sequence * 160, ssrc = 0x1234, marker = false, payload }) {
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header[1] = (marker ? 0x80 : 0) | type;
  header.writeUInt16BE(sequence & 0xffff, 2);
  header.writeUInt32BE(timestamp >>> 0, 4);
  header.writeUInt32BE(ssrc, 8);
  return Buffer.concat([header, Buffer.from(payload)]);
}

/** An RTCP packet of whole words (RFC 3550, section 6.1). */
export function rtcpPacket(format, type, ...words) {
  const packet = Buffer.alloc(4 + 4 * words.length);
  packet[0] = 0x80 | format;
  packet[1] = type;
  packet.writeUInt16BE(words.length, 2);
  words.forEach((word, i) => packet.writeUInt32BE(word >>> 0, 4 + 4 * i));
  return packet;
}

/** The packets of a compound RTCP packet: { format, type, bytes }. */
export function readRtcp(compound) {
  const packets = [];
  for (let at = 0; at + 4 <= compound.length;) {
    const length = 4 * (compound.readUInt16BE(at + 2) + 1);
    packets.push({ format: compound[at] & 31, type: compound[at + 1], bytes: compound.subarray(at, at + length) });
    at += length;
  }
  return packets;
}

/** A UDP socket of a test that keeps what comes; `port` 0 takes any. */
export class Wire {
  received = [];
  #socket;

  static async open(address = '127.0.0.1', port = 0) {
    const wire = new Wire();
    wire.#socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
    wire.#socket.on('message', (message) => wire.received.push(message));
    await new Promise((resolve, reject) => wire.#socket.once('error', reject).bind(port, address, resolve));
    wire.address = address;
    wire.port = wire.#socket.address().port;
    return wire;
  }

  send(message, port, address = this.address) {
    return new Promise((resolve, reject) => this.#socket.send(message, port, address, (error) => (error ? reject(error) : resolve())));
  }

  /** Sends what `make(n)` gives each `ms` from `first` on, until `enough` holds; returns the number after the last. */
  async stream(port, make, { first = 1, ms = 20, enough, limit = 10_000 }) {
    const end = Date.now() + limit;
    let n = first;
    while (!enough(n)) {
      if (Date.now() > end) throw new Error(`not within ${limit} ms: ${enough}`);
      for (const packet of [make(n++)].flat()) await this.send(packet, port);
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
    return n;
  }

  /** The RTCP packets of a type that came so far. */
  reports(type, format) {
    return this.received.flatMap(readRtcp).filter((packet) => packet.type === type && (format === undefined || packet.format === format));
  }

  close() {
    return new Promise((resolve) => this.#socket.close(resolve));
  }
}
