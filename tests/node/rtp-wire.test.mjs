// RtpEndpoint packet by packet: who is listened to and where answers go, what RTCP says, which ports are used. The peers are sockets
// of the test, so that every byte is known.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { until } from './browser.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';
import { Wire, freePairs, ports, rtcpPacket, rtpOffer, rtpPacket } from './rtp-peers.mjs';

const PCMU = { kind: 'audio', type: 0, map: 'PCMU/8000' };
const VP8_KEY = [0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xf0, 0];
const VP8_DELTA = [0x10, 1, 0, 0, 0, 0];
const [SR, RR, SDES, BYE, RTPFB, PSFB] = [200, 201, 202, 203, 205, 206];

describe('RtpEndpoint on the wire', { timeout: 120_000 }, () => {
  let server, rpc;
  before(async () => {
    server = await startServer();
    rpc = await Rpc.open(server.url);
  });
  after(async () => {
    await rpc?.close();
    await server?.stop();
  });

  /** Runs with a pipeline of its own; wires that it opens are closed in any case. */
  async function stage(act) {
    const wires = [];
    const pipeline = await rpc.create('MediaPipeline');
    const open = async (...args) => {
      const wire = await Wire.open(...args);
      wires.push(wire);
      return wire;
    };
    try {
      await act(pipeline, open);
    } finally {
      await rpc.release(pipeline);
      await Promise.all(wires.map((wire) => wire.close()));
    }
  }

  const create = (pipeline, params = {}) => rpc.create('RtpEndpoint', { mediaPipeline: pipeline, ...params });
  /** An endpoint that sends back what it gets; returns it and the port to send to. */
  async function echo(pipeline, line, address, params) {
    const endpoint = await create(pipeline, params);
    await rpc.invoke(endpoint, 'connect', { sink: endpoint });
    const answer = await rpc.invoke(endpoint, 'processOffer', { offer: rtpOffer([line], address) });
    return { endpoint, answer, port: ports(answer)[line.kind] };
  }
  const inbound = async (endpoint) => Object.values((await rpc.invoke(endpoint, 'getStats')) ?? {}).find((s) => s.type === 'inboundrtp');
  const sound = (fill) => (n) => rtpPacket({ sequence: n, payload: Buffer.alloc(160, fill) });
  const heard = (wire, fill) => wire.received.filter((packet) => packet[12] === fill).length;

  test('media goes where the description says, from the port that it names', () => stage(async (pipeline, open) => {
    const [there] = await freePairs(1);
    const [peer, sender] = [await open('127.0.0.1', there), await open()];
    const { port, endpoint } = await echo(pipeline, { ...PCMU, port: there }, '127.0.0.1');
    await sender.stream(port, sound(7), { enough: () => heard(peer, 7) >= 20 });
    assert.equal(sender.received.length, 0, 'not back to where it comes from');
    assert.equal((await inbound(endpoint)).packetsLost, 0);
    const numbers = peer.received.map((packet) => packet.readUInt16BE(2));
    numbers.slice(1).forEach((number, i) => assert.equal(number, (numbers[i] + 1) & 0xffff));
    const sources = new Set(peer.received.map((packet) => packet.readUInt32BE(8)));
    assert.ok(sources.size === 1 && !sources.has(0x1234), 'one source, which is ours');
  }));

  test('comedia: media goes back to where it comes from, also when that changes in mid-stream', () => stage(async (pipeline, open) => {
    const { port, answer } = await echo(pipeline, { ...PCMU, port: 9, more: ['a=direction:active'] }, '192.0.2.77');
    assert.match(answer, /^a=direction:passive\r$/m);
    const first = await open();
    const next = await first.stream(port, sound(1), { enough: () => heard(first, 1) >= 10 });
    const second = await open();
    await second.stream(port, sound(2), { first: next, enough: () => heard(second, 2) >= 10 });
    assert.equal(heard(first, 2), 0);
  }));

  test('nobody talks into a stream: neither another host nor another port', () => stage(async (pipeline, open) => {
    const [there] = await freePairs(1);
    const peer = await open('127.0.0.1', there);
    const strangers = [await open('127.0.0.2'), await open('127.0.0.1')];
    const { port } = await echo(pipeline, { ...PCMU, port: there }, '127.0.0.1');
    // A stranger comes first, and is heard as long as there is nobody else; then the peer has the word.
    await strangers[0].send(sound(66)(1), port, '127.0.0.1');
    await until('the stranger is heard', () => heard(peer, 66), (count) => count === 1);
    await peer.send(sound(5)(100), port);
    await until('the peer is heard', () => heard(peer, 5), (count) => count === 1);
    const end = Date.now() + 10_000;
    for (let n = 101; heard(peer, 5) < 50 && Date.now() < end; n++) {
      await peer.send(sound(5)(n), port);
      for (const stranger of strangers) for (const ssrc of [0x1234, 0x9999]) await stranger.send(rtpPacket({ sequence: n + 1, ssrc, payload: Buffer.alloc(160, 66) }), port, '127.0.0.1');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.ok(heard(peer, 5) >= 50);
    assert.equal(heard(peer, 66), 1, 'nothing of the strangers came through once the peer was there');
  }));

  test('each packet passes once, and a sender that starts anew is heard again', () => stage(async (pipeline, open) => {
    const [there] = await freePairs(1);
    const peer = await open('127.0.0.1', there);
    const { port } = await echo(pipeline, { ...PCMU, port: there }, '127.0.0.1');
    await peer.stream(port, (n) => [sound(1)(30_000 + n), sound(1)(30_000 + n)], { enough: (n) => n > 20 });
    await until('twenty packets', () => heard(peer, 1), (count) => count === 20);
    await peer.stream(port, (n) => sound(2)(n), { enough: () => heard(peer, 2) >= 10 });
    assert.equal(heard(peer, 1), 20, 'each of the twenty once');
  }));

  test('feedback to a publisher: NACK, REMB, PLI, receiver reports; its SR and BYE move MediaState', () => stage(async (pipeline, open) => {
    const [there, other] = await freePairs(2);
    const [peer, rtcp] = [await open('127.0.0.1', there), await open('127.0.0.1', there + 1)];
    const feedback = ['nack', 'nack pli', 'ccm fir', 'goog-remb'].map((f) => `a=rtcp-fb:96 ${f}`);
    const line = (port, direction) => ({ kind: 'video', port, type: 96, map: 'VP8/90000', proto: 'RTP/AVPF', direction, more: feedback });
    const from = await create(pipeline);
    const to = await create(pipeline);
    await rpc.invoke(from, 'connect', { sink: to });
    await rpc.subscribe(from, 'MediaStateChanged');
    const answer = await rpc.invoke(from, 'processOffer', { offer: rtpOffer([line(there, 'sendonly')]) });
    assert.equal(answer.match(/^a=rtcp-fb:96 /gm)?.length, 4, answer);
    const port = ports(answer).video;
    const ssrc = 0xabcd;
    const frame = (n) => rtpPacket({ type: 96, sequence: n, timestamp: n * 1800, ssrc, marker: true, payload: n % 50 === 1 ? VP8_KEY : VP8_DELTA });
    await rtcp.send(rtcpPacket(0, SR, ssrc, 0xe0000000, 0, 0, 0, 0), port + 1);
    await rpc.event((e) => e.object === from && e.type === 'MediaStateChanged' && e.data.newState === 'CONNECTED', 'CONNECTED');

    const nacks = () => rtcp.reports(RTPFB, 1);
    let next = await peer.stream(port, (n) => (n === 5 ? [] : frame(n)), { enough: () => nacks().length > 0 });
    assert.equal(nacks()[0].bytes.readUInt32BE(8), ssrc);
    assert.equal(nacks()[0].bytes.readUInt16BE(12), 5, 'the one that is missing');
    await peer.send(frame(5), port);
    next = await peer.stream(port, frame, { first: next, enough: () => rtcp.reports(PSFB, 15).length > 0 && rtcp.reports(RR).some((r) => r.format === 1) && rtcp.reports(SDES).length > 0 });
    assert.equal(rtcp.reports(PSFB, 15)[0].bytes.toString('latin1', 12, 16), 'REMB');
    const report = rtcp.reports(RR).findLast((r) => r.format === 1).bytes;
    assert.deepEqual([report.readUInt32BE(8), report.readUInt32BE(12) & 0xffffff], [ssrc, 0], 'nothing is lost in the end');

    // The other side: a viewer who says that he needs something.
    const [viewer, wishes] = [await open('127.0.0.1', other), await open('127.0.0.1', other + 1)];
    const seen = await rpc.invoke(to, 'processOffer', { offer: rtpOffer([line(other, 'recvonly')]) });
    const way = ports(seen).video;
    next = await peer.stream(port, frame, { first: next, enough: () => viewer.received.length >= 5 && wishes.reports(SR).length > 0 });
    const packet = viewer.received[2];
    const ours = packet.readUInt32BE(8);
    const copies = () => viewer.received.filter((p) => p.equals(packet)).length;
    await wishes.send(Buffer.concat([rtcpPacket(0, RR, 77), rtcpPacket(1, RTPFB, 77, ours, packet.readUInt16BE(2) << 16)]), way + 1);
    await until('the lost packet again', copies, (count) => count === 2);
    const asked = rtcp.reports(PSFB, 1).length;
    next = await peer.stream(port, (n) => {
      if (n % 5 === 0) void wishes.send(Buffer.concat([rtcpPacket(0, RR, 77), rtcpPacket(1, PSFB, 77, ours)]), way + 1);
      return frame(n);
    }, { first: next, enough: () => rtcp.reports(PSFB, 1).length > asked });
    assert.equal(rtcp.reports(PSFB, 1).at(-1).bytes.readUInt32BE(8), ssrc, 'the request goes on to the publisher');
    const stats = Object.values(await rpc.invoke(to, 'getStats', { mediaType: 'VIDEO' })).find((s) => s.type === 'outboundrtp');
    assert.ok(stats.nackCount === 1 && stats.pliCount >= 1 && stats.packetsSent >= 5, JSON.stringify(stats));

    await rtcp.send(Buffer.concat([rtcpPacket(0, RR, ssrc), rtcpPacket(1, BYE, ssrc)]), port + 1);
    await rpc.event((e) => e.object === from && e.type === 'MediaStateChanged' && e.data.newState === 'DISCONNECTED', 'DISCONNECTED');
    await rpc.release(to);
    await until('a BYE of ours', () => wishes.reports(BYE).map((bye) => bye.bytes.readUInt32BE(4)), (byes) => byes.includes(ours));
  }));

  test('without AVPF nothing of that is said', () => stage(async (pipeline, open) => {
    const [there] = await freePairs(1);
    const [peer, rtcp] = [await open('127.0.0.1', there), await open('127.0.0.1', there + 1)];
    const line = { kind: 'video', port: there, type: 96, map: 'VP8/90000', direction: 'sendonly', more: ['a=rtcp-fb:96 nack', 'a=rtcp-fb:96 nack pli'] };
    const { port, answer } = await echo(pipeline, line, '127.0.0.1');
    assert.doesNotMatch(answer, /rtcp-fb/);
    const frame = (n) => rtpPacket({ type: 96, sequence: n, timestamp: n * 1800, payload: n === 1 ? VP8_KEY : VP8_DELTA });
    await peer.stream(port, (n) => (n % 7 === 0 ? [] : frame(n)), { enough: () => rtcp.reports(RR).length >= 2 });
    assert.equal(rtcp.reports(RTPFB).length + rtcp.reports(PSFB).length, 0);
    assert.ok(rtcp.reports(RR).at(-1).bytes.readUInt32BE(12) >>> 0 > 0, 'losses are reported all the same');
  }));

  test('IPv6: the description names such an address, and media flows', () => stage(async (pipeline, open) => {
    const offered = await rpc.invoke(await create(pipeline, { useIpv6: true }), 'generateOffer');
    assert.match(offered, /^c=IN IP6 [0-9a-f:]+\r$/m);
    const peer = await open('::1');
    const { port } = await echo(pipeline, { ...PCMU, port: peer.port }, '::1', { useIpv6: true });
    await peer.stream(port, sound(3), { enough: () => heard(peer, 3) >= 10 });
  }));

  test('two endpoints of one server, by SRTP of 256 bits', () => stage(async (pipeline, open) => {
    const [there] = await freePairs(1);
    const peer = await open('127.0.0.1', there);
    const crypto = { crypto: 'AES_256_CM_HMAC_SHA1_80' };
    const [entry, offerer, answerer, exit] = [await create(pipeline), await create(pipeline, { crypto }), await create(pipeline, { crypto }), await create(pipeline)];
    await rpc.invoke(entry, 'connect', { sink: offerer });
    await rpc.invoke(answerer, 'connect', { sink: exit });
    const answer = await rpc.invoke(answerer, 'processOffer', { offer: await rpc.invoke(offerer, 'generateOffer') });
    const local = await rpc.invoke(offerer, 'processAnswer', { answer });
    assert.equal(local, await rpc.invoke(offerer, 'getLocalSessionDescriptor'));
    assert.equal(answer.match(/^a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:/gm)?.length, 2);
    await rpc.invoke(exit, 'processOffer', { offer: rtpOffer([{ ...PCMU, port: there, direction: 'recvonly' }]) });
    const { audio } = ports(await rpc.invoke(entry, 'processOffer', { offer: rtpOffer([{ ...PCMU, port: there, direction: 'sendonly' }]) }));
    await peer.stream(audio, sound(9), { enough: () => heard(peer, 9) >= 20 });
    const stats = await inbound(answerer);
    assert.ok(stats.packetsReceived >= 20 && stats.packetsLost === 0, JSON.stringify(stats));
    for (const again of ['processOffer', 'generateOffer']) await assert.rejects(rpc.invoke(offerer, again, again === 'processOffer' ? { offer: answer } : {}), { code: 40208 });
    await assert.rejects(rpc.invoke(offerer, 'processAnswer', { answer }), { code: 40210 });
  }));
});

test('ports are pairs of the configured range, and given back', { timeout: 30_000 }, async () => {
  const first = 41_000 + 2 * (process.pid % 4000);
  const server = await startServer({ modules: { 'BaseRtpEndpoint.conf.ini': `minPort=${first}\nmaxPort=${first + 9}\n` }, media: { workers: 1, placement: 'pipeline' } });
  const rpc = await Rpc.open(server.url);
  try {
    const pipeline = await rpc.create('MediaPipeline');
    const used = [];
    const offer = rtpOffer([{ ...PCMU, port: 40_000 }]);
    let refused, last;
    while (!refused && used.length < 6) {
      const endpoint = await rpc.create('RtpEndpoint', { mediaPipeline: pipeline });
      try {
        const answer = await rpc.invoke(endpoint, 'processOffer', { offer });
        used.push(ports(answer).audio);
        assert.match(answer, new RegExp(`^a=rtcp:${used.at(-1) + 1}\\r$`, 'm'));
        last = endpoint;
      } catch (error) {
        refused = { error, endpoint };
      }
    }
    assert.equal(refused?.error.code, 40205, 'when all are taken the offer is refused');
    // Five pairs, of which the worker's own port spoils one; others on this machine may hold more.
    assert.ok(used.length >= 1 && used.length <= 4 && new Set(used).size === used.length, used.join());
    for (const port of used) assert.ok(port % 2 === 0 && port >= first && port + 1 <= first + 9, used.join());
    await rpc.release(last);
    const answer = await rpc.invoke(refused.endpoint, 'processOffer', { offer });
    assert.equal(ports(answer).audio, used.at(-1), 'a port that was given back is used again');
  } finally {
    await rpc.close();
    await server.stop();
  }
});
