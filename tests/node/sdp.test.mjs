// Offers of shapes that no browser writes by itself, made of a real one: sound and picture come back all the same. The
// texts of the answers are compared in the Rust tests; here it counts that media flows.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { LOOK, launch, newPage, until } from './browser.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

const PEER = () => {
  const peer = new RTCPeerConnection({ bundlePolicy: 'balanced' });
  window.peer = {
    async offer({ audio, video, videos = 1 }) {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240 } });
      const [sound, picture] = [...stream.getAudioTracks(), ...stream.getVideoTracks()];
      if (audio) peer.addTransceiver(sound, { streams: [stream] });
      if (video) for (let n = 0; n < videos; n++) peer.addTransceiver(picture.clone(), { streams: [stream] });
      await peer.setLocalDescription();
      while (peer.iceGatheringState !== 'complete') await new Promise((resolve) => { peer.onicegatheringstatechange = resolve; });
      return peer.localDescription.sdp;
    },
    accept: (sdp) => peer.setRemoteDescription({ type: 'answer', sdp }),
    candidate: (found) => peer.addIceCandidate(found),
    figures: () => window.look.figures(peer),
    transports: () => new Set(peer.getSenders().map((sender) => sender.transport).filter((t) => t?.state === 'connected')).size,
  };
};

const without = (...starts) => (sdp) => sdp.split('\r\n').filter((line) => !starts.some((start) => line.startsWith(start))).join('\r\n');
const BOTH = { audio: true, video: true };

/** What is changed in the offer, what is looked for in the answer, and how many transports there are. */
const SHAPES = [
  { what: 'as it is', ask: BOTH, transports: 1 },
  { what: 'without sources: packets are told apart by payload type', ask: BOTH, change: without('a=ssrc'), transports: 1 },
  { what: 'not bundled: a transport for each line', ask: BOTH, change: without('a=group:BUNDLE'), transports: 2, lacks: /^a=group/m },
  { what: 'without BUNDLE, tags and sources', ask: BOTH, change: without('a=group:BUNDLE', 'a=mid', 'a=ssrc', 'a=extmap'), transports: 2, lacks: /^a=(mid|group|extmap):/m },
  { what: 'without feedback, extensions and retransmission', ask: BOTH, change: without('a=rtcp-fb', 'a=extmap', 'a=rtcp-rsize'), transports: 1, lacks: /^a=rtcp-fb/m },
  { what: 'audio alone', ask: { audio: true }, transports: 1, lacks: /^m=video/m },
  { what: 'video alone', ask: { video: true }, transports: 1, lacks: /^m=audio/m },
  { what: 'two videos, of which one is taken', ask: { ...BOTH, videos: 2 }, transports: 1, has: /^m=video 0 /m },
];

describe('offers of many shapes', { timeout: 120_000 }, () => {
  let browser, server, rpc;
  before(async () => {
    browser = await launch();
    server = await startServer();
    rpc = await Rpc.open(server.url);
  });
  after(async () => {
    await rpc?.close();
    await browser?.close();
    await server?.stop();
  });

  for (const { what, ask, change, transports, has, lacks } of SHAPES) {
    test(what, { timeout: 30_000 }, async () => {
      const page = await newPage(browser);
      await page.goto(`${server.http}/`);
      await page.evaluate(LOOK);
      await page.evaluate(PEER);
      const pipeline = await rpc.create('MediaPipeline');
      const endpoint = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
      await rpc.invoke(endpoint, 'connect', { sink: endpoint });
      // By the position of the line alone, since a line without a tag in the offer has none.
      const off = rpc.on(endpoint, 'IceCandidateFound', ({ candidate: { candidate, sdpMLineIndex } }) => {
        page.evaluate((found) => window.peer.candidate(found), { candidate, sdpMLineIndex }).catch((error) => page.troubles.push(error.message));
      });
      await rpc.subscribe(endpoint, 'IceCandidateFound');
      const offer = await page.evaluate((a) => window.peer.offer(a), ask);
      const changed = change ? change(offer) : offer;
      if (change) assert.notEqual(changed, offer, 'there was something to change');
      const answer = await rpc.invoke(endpoint, 'processOffer', { offer: changed });
      assert.equal(answer.match(/^m=/gm).length, offer.match(/^m=/gm).length);
      if (has) assert.match(answer, has);
      if (lacks) assert.doesNotMatch(answer, lacks);
      await page.evaluate((sdp) => window.peer.accept(sdp), answer);
      await rpc.invoke(endpoint, 'gatherCandidates');

      const figures = () => page.evaluate(() => window.peer.figures());
      await until('media comes back', figures, ({ state, decoded, audioPackets }) =>
        state === 'connected' && (!ask.video || decoded > 15) && (!ask.audio || audioPackets > 25), 15_000);
      assert.equal(await page.evaluate(() => window.peer.transports()), transports, 'transports');
      off();
      await rpc.release(pipeline);
      assert.deepEqual(page.troubles, []);
      await page.context().close();
    });
  }
});
