// RtpEndpoint with peers that are not ours: ffmpeg and GStreamer send to it and receive from it, plain and with SRTP; what they send is
// seen in Chromium, and what Chromium sends they write into files.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { LOOK, launch, newPage, serveTestPage, until } from './browser.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';
import { bound, ffmpegSends, freePairs, gstReceives, gstReceivesSrtp, gstSends, gstSendsSrtp, joinBrowser, ports, rtpOffer, run } from './rtp-peers.mjs';

const KEY = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ1234').toString('base64');
const OTHER_KEY = Buffer.from('zyxwvutsrqponmlkjihgfedcba4321').toString('base64');
const SUITE = 'AES_CM_128_HMAC_SHA1_80';

describe('RtpEndpoint', { timeout: 180_000 }, () => {
  let server, rpc, browser, site;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-rtp-'));
  before(async () => {
    [server, browser, site] = await Promise.all([startServer(), launch(), serveTestPage()]);
    rpc = await Rpc.open(server.url);
  });
  after(async () => {
    await rpc?.close();
    await browser?.close();
    await site?.close();
    fs.rmSync(folder, { recursive: true, force: true });
    await server?.stop();
  });

  /** Runs with a pipeline and a page of its own; processes given to `keep` are ended in any case. */
  async function stage(act) {
    const running = [];
    const page = await newPage(browser);
    await page.addInitScript(LOOK);
    await page.goto(site.url);
    const pipeline = await rpc.create('MediaPipeline');
    try {
      await act({ page, pipeline, keep: (child) => { running.push(child); return child; } });
      assert.deepEqual(page.troubles, []);
    } finally {
      await Promise.all(running.map((child) => child.stop('SIGKILL')));
      await rpc.release(pipeline);
      await page.context().close();
    }
  }

  const figures = (page) => page.evaluate(() => window.look.figures(window.peer));
  const inbound = async (endpoint) => Object.values((await rpc.invoke(endpoint, 'getStats', { mediaType: 'VIDEO' })) ?? {}).find((s) => s.type === 'inboundrtp');

  for (const codec of ['VP8', 'H264']) {
    test(`ffmpeg sends ${codec} and Opus, Chromium shows them`, () => stage(async ({ page, pipeline, keep }) => {
      const [from, to] = [await rpc.create('RtpEndpoint', { mediaPipeline: pipeline }), await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline })];
      for (const type of ['ConnectionStateChanged', 'MediaStateChanged', 'MediaSessionStarted']) await rpc.subscribe(from, type);
      await rpc.invoke(from, 'connect', { sink: to });
      const fmtp = codec === 'H264' ? 'packetization-mode=1;profile-level-id=42e01f' : undefined;
      const answer = await rpc.invoke(from, 'processOffer', { offer: rtpOffer([
        { kind: 'video', port: 40_002, type: 96, map: `${codec}/90000`, fmtp, direction: 'sendonly' },
        { kind: 'audio', port: 40_000, type: 97, map: 'opus/48000/2', direction: 'sendonly' },
      ]) });
      await rpc.event((e) => e.object === from && e.type === 'MediaSessionStarted', 'MediaSessionStarted');
      assert.equal(await rpc.invoke(from, 'getConnectionState'), 'CONNECTED');
      assert.equal(await rpc.invoke(from, 'getMediaState'), 'DISCONNECTED');
      const { video, audio } = ports(answer);
      assert.ok(video % 2 === 0 && audio % 2 === 0 && video !== audio, answer);
      keep(ffmpegSends({ codec, videoPort: video, audioPort: audio }));
      await rpc.event((e) => e.object === from && e.type === 'MediaStateChanged' && e.data.newState === 'CONNECTED', 'MediaStateChanged');
      await joinBrowser(page, rpc, to, 'recvonly', codec);
      const seen = await until('frames', () => figures(page), (f) => f.decoded > 20 && f.audioPackets > 50);
      assert.deepEqual([seen.width, seen.height, seen.lost, seen.codec], [320, 240, 0, `video/${codec}`]);
      assert.ok(await page.evaluate(() => window.look.change('#remote', 500)) > 0.1, 'the picture moves');
      assert.ok(await page.evaluate(() => window.look.loudest('#remote', 10_000, 0.02)) > 0.01, 'the tone is heard');
      const stats = await inbound(from);
      assert.ok(stats.packetsReceived > 20 && stats.packetsLost === 0 && stats.jitter < 1, JSON.stringify(stats));
    }));
  }

  test('Chromium sends, ffmpeg writes a file that plays', () => stage(async ({ page, pipeline, keep }) => {
    const [from, to] = [await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline }), await rpc.create('RtpEndpoint', { mediaPipeline: pipeline })];
    await rpc.invoke(from, 'connect', { sink: to });
    await joinBrowser(page, rpc, from, 'sendonly', 'VP8');
    await until('frames sent', () => figures(page), (f) => f.encoded > 5);
    const [videoPort, audioPort] = await freePairs(2);
    const offer = rtpOffer([
      { kind: 'video', port: videoPort, type: 96, map: 'VP8/90000', direction: 'recvonly' },
      { kind: 'audio', port: audioPort, type: 97, map: 'opus/48000/2', direction: 'recvonly' },
    ]);
    const file = path.join(folder, 'plain.webm');
    fs.writeFileSync(path.join(folder, 'plain.sdp'), offer.replaceAll('recvonly', 'sendonly'));
    const writer = keep(run('ffmpeg', ['-hide_banner', '-loglevel', 'info', '-y', '-protocol_whitelist', 'file,udp,rtp', '-i', path.join(folder, 'plain.sdp'), '-c', 'copy', '-t', '3', file]));
    await until('ffmpeg listens', () => bound(videoPort, audioPort), (listening) => listening);
    await rpc.invoke(to, 'processOffer', { offer });
    const { code } = await writer.ended;
    assert.equal(code, 0, writer.log());
    assertPlays(file, ['opus', 'vp8'], 2);
    const stats = Object.values(await rpc.invoke(to, 'getStats')).filter((s) => s.type === 'outboundrtp');
    assert.equal(stats.length, 2);
    for (const s of stats) assert.ok(s.packetsSent > 20 && s.bytesSent > 0, JSON.stringify(s));
  }));

  for (const [suite, name, bytes] of [
    ['AES_128_CM_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_80', 30],
    ['AES_128_CM_HMAC_SHA1_32', 'AES_CM_128_HMAC_SHA1_32', 30],
  ]) {
    test(`ffmpeg sends by SRTP (${name}), and receives by SRTP what comes of it`, () => stage(async ({ pipeline, keep }) => {
      const ours = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890abcdefghij').subarray(0, bytes).toString('base64');
      const theirs = Buffer.from('zyxwvutsrqponmlkjihgfedcba4321098765ZYXWVUTSRQ').subarray(0, bytes).toString('base64');
      const crypto = { crypto: suite, keyBase64: ours };
      const [from, to] = [await rpc.create('RtpEndpoint', { mediaPipeline: pipeline, crypto }), await rpc.create('RtpEndpoint', { mediaPipeline: pipeline, crypto })];
      await rpc.invoke(from, 'connect', { sink: to });
      const line = (kind, port, type, map, direction) => ({ kind, port, type, map, direction, proto: 'RTP/SAVP', more: [`a=crypto:7 ${name} inline:${theirs}`] });
      const answer = await rpc.invoke(from, 'processOffer', { offer: rtpOffer([line('video', 40_002, 96, 'VP8/90000', 'sendonly'), line('audio', 40_000, 97, 'opus/48000/2', 'sendonly')]) });
      assert.equal(answer.match(new RegExp(`^a=crypto:7 ${name} inline:${ours.replace(/[+]/g, '\\+')}\r$`, 'gm'))?.length, 2, answer);
      const [videoPort, audioPort] = await freePairs(2);
      const offer = rtpOffer([line('video', videoPort, 96, 'VP8/90000', 'recvonly'), line('audio', audioPort, 97, 'opus/48000/2', 'recvonly')]);
      const [sdp, file] = [path.join(folder, `${suite}.sdp`), path.join(folder, `${suite}.webm`)];
      fs.writeFileSync(sdp, offer.replaceAll('recvonly', 'sendonly').replaceAll(theirs, ours));
      const writer = keep(run('ffmpeg', ['-hide_banner', '-loglevel', 'warning', '-y', '-protocol_whitelist', 'file,udp,rtp,srtp', '-i', sdp, '-c', 'copy', '-t', '2', file]));
      await until('ffmpeg listens', () => bound(videoPort, audioPort), (listening) => listening);
      await rpc.invoke(to, 'processOffer', { offer });
      const { video, audio } = ports(answer);
      keep(ffmpegSends({ videoPort: video, audioPort: audio, srtp: { suite: name, key: theirs } }));
      const { code } = await writer.ended;
      assert.equal(code, 0, writer.log());
      assertPlays(file, ['opus', 'vp8'], 1.5);
      assert.equal((await inbound(from)).packetsLost, 0);
    }));
  }

  test('what is not protected, or with another key, never enters a pipeline', () => stage(async ({ pipeline, keep }) => {
    const endpoint = await rpc.create('RtpEndpoint', { mediaPipeline: pipeline, crypto: { crypto: 'AES_128_CM_HMAC_SHA1_80', keyBase64: KEY } });
    const answer = await rpc.invoke(endpoint, 'processOffer', { offer: rtpOffer([{ kind: 'video', port: 40_002, type: 96, map: 'VP8/90000', direction: 'sendonly', proto: 'RTP/SAVP', more: [`a=crypto:1 ${SUITE} inline:${OTHER_KEY}`] }]) });
    const { video } = ports(answer);
    keep(ffmpegSends({ videoPort: video, ssrc: 1111 }));
    keep(ffmpegSends({ videoPort: video, ssrc: 2222, srtp: { suite: SUITE, key: KEY } }));
    keep(ffmpegSends({ videoPort: video, ssrc: 3333, srtp: { suite: SUITE, key: OTHER_KEY } }));
    const sources = new Set();
    await until('packets of the peer', async () => {
      const stats = await inbound(endpoint);
      if (stats) sources.add(stats.ssrc);
      return stats;
    }, (s) => s?.packetsReceived > 60);
    assert.deepEqual([...sources], ['3333']);
  }));

  test('keys whose length is wrong are refused, and so is an offer without a common suite', () => stage(async ({ pipeline }) => {
    for (const crypto of [{ keyBase64: 'abc' }, { key: 'too short' }]) {
      await assert.rejects(rpc.create('RtpEndpoint', { mediaPipeline: pipeline, crypto: { crypto: 'AES_256_CM_HMAC_SHA1_80', ...crypto } }), { code: 40107, message: '40107 Master key size is wrong' });
    }
    const endpoint = await rpc.create('RtpEndpoint', { mediaPipeline: pipeline, crypto: { crypto: 'AES_256_CM_HMAC_SHA1_80' } });
    const answer = await rpc.invoke(endpoint, 'processOffer', { offer: rtpOffer([{ kind: 'audio', port: 40_000, type: 0, map: 'PCMU/8000', proto: 'RTP/SAVP', more: [`a=crypto:1 ${SUITE} inline:${KEY}`] }]) });
    assert.match(answer, /^m=audio 0 RTP\/SAVP 0\r\na=inactive\r$/m);
  }));

  test('OnKeySoftLimit: the peer has used its key for nearly as long as it said', () => stage(async ({ pipeline, keep }) => {
    const endpoint = await rpc.create('RtpEndpoint', { mediaPipeline: pipeline, crypto: { crypto: 'AES_128_CM_HMAC_SHA1_80', keyBase64: KEY } });
    await rpc.subscribe(endpoint, 'OnKeySoftLimit');
    const answer = await rpc.invoke(endpoint, 'processOffer', { offer: rtpOffer([{ kind: 'video', port: 40_002, type: 96, map: 'VP8/90000', direction: 'sendonly', proto: 'RTP/SAVPF', more: [`a=crypto:1 ${SUITE} inline:${OTHER_KEY}|64`] }]) });
    keep(ffmpegSends({ videoPort: ports(answer).video, srtp: { suite: SUITE, key: OTHER_KEY } }));
    const event = await rpc.event((e) => e.object === endpoint && e.type === 'OnKeySoftLimit', 'OnKeySoftLimit');
    assert.equal(event.data.mediaType, 'VIDEO');
    assert.ok((await inbound(endpoint)).packetsReceived >= 60);
  }));

  const outbound = async (endpoint) => Object.values((await rpc.invoke(endpoint, 'getStats', { mediaType: 'VIDEO' })) ?? {}).find((s) => s.type === 'outboundrtp');

  test("GStreamer's rtpbin sends, and another one receives what comes of it", () => stage(async ({ pipeline, keep }) => {
    const [from, to] = [await rpc.create('RtpEndpoint', { mediaPipeline: pipeline }), await rpc.create('RtpEndpoint', { mediaPipeline: pipeline })];
    await rpc.invoke(from, 'connect', { sink: to });
    await rpc.subscribe(from, 'MediaStateChanged');
    const [videoPort, audioPort, sendPort] = await freePairs(3);
    const lines = (video, audio, direction) => rtpOffer([
      { kind: 'video', port: video, type: 96, map: 'VP8/90000', direction, proto: 'RTP/AVPF', more: ['a=rtcp-fb:96 nack pli'] },
      { kind: 'audio', port: audio, type: 97, map: 'opus/48000/2', direction },
    ]);
    const sending = ports(await rpc.invoke(from, 'processOffer', { offer: lines(sendPort, sendPort + 2, 'sendonly') }));
    const receiving = ports(await rpc.invoke(to, 'processOffer', { offer: lines(videoPort, audioPort, 'recvonly') }));
    const file = path.join(folder, 'gst.webm');
    const writer = keep(gstReceives({ videoPort, audioPort, remoteVideoPort: receiving.video, file }));
    await until('GStreamer listens', () => bound(videoPort, audioPort, videoPort + 1), (listening) => listening);
    const sender = keep(gstSends({ videoPort: sending.video, audioPort: sending.audio, rtcpPort: sendPort + 1 }));
    await rpc.event((e) => e.object === from && e.type === 'MediaStateChanged' && e.data.newState === 'CONNECTED', 'MediaStateChanged');
    await until('three seconds of video', () => outbound(to), (s) => s?.packetsSent > 60);
    await writer.stop('SIGINT');
    await sender.stop('SIGINT');
    assertPlays(file, ['opus', 'vp8'], 1);
    assert.equal((await inbound(from)).packetsLost, 0);
  }));

  for (const auth of ['hmac-sha1-80', 'hmac-sha1-32']) {
    const bits = auth.slice(-2);
    test(`GStreamer sends and receives by SRTP (AES_256_CM_HMAC_SHA1_${bits})`, () => stage(async ({ pipeline, keep }) => {
      const [ours, theirs] = ['ABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890abcdefghij', 'zyxwvutsrqponmlkjihgfedcba4321098765ZYXWVUTSRQ'].map((text) => Buffer.from(text));
      const crypto = { crypto: `AES_256_CM_HMAC_SHA1_${bits}`, key: ours.toString() };
      const [from, to] = [await rpc.create('RtpEndpoint', { mediaPipeline: pipeline, crypto }), await rpc.create('RtpEndpoint', { mediaPipeline: pipeline, crypto })];
      await rpc.invoke(from, 'connect', { sink: to });
      const [videoPort] = await freePairs(1);
      const line = (port, direction) => rtpOffer([{ kind: 'video', port, type: 96, map: 'VP8/90000', direction, proto: 'RTP/SAVP', more: [`a=crypto:1 ${crypto.crypto} inline:${theirs.toString('base64')}`] }]);
      const { video } = ports(await rpc.invoke(from, 'processOffer', { offer: line(40_002, 'sendonly') }));
      const answer = await rpc.invoke(to, 'processOffer', { offer: line(videoPort, 'recvonly') });
      const file = path.join(folder, `gst-${bits}.webm`);
      const settings = { cipher: 'aes-256-icm', auth };
      const writer = keep(gstReceivesSrtp({ videoPort, ssrc: answer.match(/^a=ssrc:(\d+)/m)[1], key: ours.toString('hex'), file, ...settings }));
      await until('GStreamer listens', () => bound(videoPort), (listening) => listening);
      keep(gstSendsSrtp({ videoPort: video, key: theirs.toString('hex'), ...settings }));
      await until('three seconds of video', () => outbound(to), (s) => s?.packetsSent > 60);
      await writer.stop('SIGINT');
      assertPlays(file, ['vp8'], 1);
      assert.equal((await inbound(from)).packetsLost, 0);
    }));
  }

  /** A file has these codecs, lasts so long, and all of it decodes. */
  function assertPlays(file, codecs, seconds) {
    const probe = JSON.parse(spawnSync('ffprobe', ['-v', 'error', '-count_frames', '-show_streams', '-of', 'json', file], { encoding: 'utf8', timeout: 20_000 }).stdout);
    assert.deepEqual(probe.streams.map((s) => s.codec_name).sort(), codecs);
    for (const stream of probe.streams) assert.ok(Number(stream.nb_read_frames) > 10, `${stream.codec_name}: ${stream.nb_read_frames} frames`);
    const decoded = spawnSync('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-f', 'null', '-'], { encoding: 'utf8', timeout: 20_000 });
    // Where the first sender report moves ffmpeg's time line, two frames can get one time: that says nothing of what they hold.
    const complaints = decoded.stderr.split('\n').filter((line) => line && !line.includes('non monotonically increasing dts'));
    assert.deepEqual([decoded.status, complaints], [0, []], 'every frame decodes');
    const duration = Number(spawnSync('ffprobe', ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0', file], { encoding: 'utf8' }).stdout);
    assert.ok(duration > seconds, `lasts ${duration} s`);
  }
});
