// What newer browsers offer and Kurento declines: retransmission on a source of its own, transport-wide feedback, tags and names.
// It is taken, it works with Chromium, and one switch turns it off.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { LOOK, launch, newPage, until } from './browser.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

const PEER = () => {
  const peer = new RTCPeerConnection();
  const streams = new Set();
  peer.ontrack = (event) => event.streams.forEach((stream) => streams.add(stream.id));
  window.peer = {
    async offer() {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 1280, height: 720, frameRate: 30 } });
      stream.getTracks().forEach((track) => peer.addTrack(track, stream));
      await peer.setLocalDescription();
      return peer.localDescription.sdp;
    },
    accept: (sdp) => peer.setRemoteDescription({ type: 'answer', sdp }),
    candidate: (found) => peer.addIceCandidate(found),
    figures: () => window.look.figures(peer),
    streams: () => streams.size,
    async report() {
      const all = [...(await peer.getStats()).values()];
      const pair = all.find((s) => s.type === 'candidate-pair' && s.nominated);
      const video = (type) => all.find((s) => s.type === type && s.kind === 'video') ?? {};
      return { estimate: pair?.availableOutgoingBitrate ?? 0, sent: video('outbound-rtp'), received: video('inbound-rtp') };
    },
  };
};

/** What stands in an answer for each of the additions. */
const ADDITIONS = {
  'retransmission payload types': /^a=rtpmap:\d+ rtx\/90000/m,
  'the pair of sources': /^a=ssrc-group:FID \d+ \d+/m,
  'transport-wide feedback': /^a=rtcp-fb:\d+ transport-cc/m,
  'transport-wide numbers': /^a=extmap:\d+ \S+transport-wide-cc/m,
  'the tag in packets': /^a=extmap:\d+ urn:ietf:params:rtp-hdrext:sdes:mid/m,
  'names of streams': /^a=msid:/m,
};

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** A page that has its own media back from a server. Without REMB the browser has nothing but what the server tells it of arrivals. */
async function call(server, change = (offer) => offer) {
  const rpc = await Rpc.open(server.url);
  const page = await newPage(browser);
  await page.goto(`${server.http}/`);
  await page.evaluate(LOOK);
  await page.evaluate(PEER);
  const pipeline = await rpc.create('MediaPipeline');
  const endpoint = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
  await rpc.invoke(endpoint, 'connect', { sink: endpoint });
  rpc.on(endpoint, 'IceCandidateFound', ({ candidate: { candidate, sdpMid, sdpMLineIndex } }) => {
    page.evaluate((found) => window.peer.candidate(found), { candidate, sdpMid, sdpMLineIndex }).catch((error) => page.troubles.push(error.message));
  });
  await rpc.subscribe(endpoint, 'IceCandidateFound');
  const answer = await rpc.invoke(endpoint, 'processOffer', { offer: change(await page.evaluate(() => window.peer.offer())) });
  await page.evaluate((sdp) => window.peer.accept(sdp), answer);
  await rpc.invoke(endpoint, 'gatherCandidates');
  const report = () => page.evaluate(() => window.peer.report());
  await until('media comes back', () => page.evaluate(() => window.peer.figures()), (f) => f.state === 'connected' && f.decoded > 15 && f.audioPackets > 25, 15_000);
  return {
    answer, page, report,
    async end() {
      assert.deepEqual(page.troubles, []);
      await rpc.release(pipeline);
      await rpc.close();
      await page.context().close();
    },
  };
}

describe('modern additions', { timeout: 120_000 }, () => {
  test('Chromium offers them, they are taken, and media flows', { timeout: 40_000 }, async () => {
    const server = await startServer();
    const { answer, page, report, end } = await call(server);
    for (const [what, line] of Object.entries(ADDITIONS)) assert.match(answer, line, what);
    const { received } = await report();
    const pair = answer.match(/^a=ssrc-group:FID (\d+) (\d+)/m);
    assert.deepEqual([received.ssrc, received.rtxSsrc], [Number(pair[1]), Number(pair[2])], 'and knows ours');
    assert.equal(received.mid, answer.match(/^m=video[\s\S]*?^a=mid:(\S+)/m)[1]);
    assert.equal(await page.evaluate(() => window.peer.streams()), 1, 'sound and picture come as one stream');
    await end();
    await server.stop();
  });

  test('one switch turns them off', { timeout: 40_000 }, async () => {
    const server = await startServer({ media: { modern: false } });
    const { answer, report, end } = await call(server);
    for (const [what, line] of Object.entries(ADDITIONS)) assert.doesNotMatch(answer, line, what);
    assert.equal((await report()).received.rtxSsrc, undefined);
    await end();
    await server.stop();
  });

  test('the estimate of the browser follows what it is told of arrivals', { timeout: 60_000 }, async () => {
    const server = await startServer();
    const { report, end } = await call(server, (offer) => offer.replace(/^a=rtcp-fb:\d+ goog-remb\r\n/gm, ''));
    // Without being told it begins with 300 kbps and adds 8 % a second: 1.4 Mbps after these twenty. What the encoder is told to
    // send counts as well: the pair's figure is missing now and then.
    await until('more than 1.6 Mbps', report, ({ estimate, sent }) => Math.max(estimate, sent?.targetBitrate ?? 0) > 1_600_000, 20_000);
    await end();
    await server.stop();
  });
});
