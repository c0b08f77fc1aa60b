// A call between two kinds of browsers: Firefox and Chromium see and hear each other through the server. All three run in
// a network namespace of the test's own.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { LOOK, until } from './browser.mjs';
import { furnishTwo, leaveTwo } from './firefox.mjs';
import { whyNoNamespace } from './namespace.mjs';

/** How many more frames have to be decoded while the test looks on. */
const FRAMES = 30;

/** What each page can do; nothing here is of one browser. */
const CALL = () => {
  const peer = new RTCPeerConnection();
  const video = document.body.appendChild(document.createElement('video'));
  Object.assign(video, { id: 'other', autoplay: true, playsInline: true, srcObject: new MediaStream() });
  window.call = {
    async offer() {
      peer.ontrack = ({ track }) => video.srcObject.addTrack(track);
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480 } });
      for (const track of stream.getTracks()) peer.addTrack(track, stream);
      await peer.setLocalDescription();
      while (peer.iceGatheringState !== 'complete') await new Promise((resolve) => { peer.onicegatheringstatechange = resolve; });
      return peer.localDescription.sdp;
    },
    async accept(sdp) {
      await peer.setRemoteDescription({ type: 'answer', sdp });
    },
    async candidate(candidate) {
      await peer.addIceCandidate(candidate);
    },
    async figures() {
      const stats = [...(await peer.getStats()).values()];
      const into = (kind) => stats.find((s) => s.type === 'inbound-rtp' && s.kind === kind);
      return { ...await window.look.figures(peer), energy: into('audio')?.totalAudioEnergy ?? 0, seen: video.videoWidth };
    },
    end: () => peer.close(),
  };
};

const missing = whyNoNamespace();
if (missing) console.log(`skipped: ${missing}`);

describe('Firefox and Chromium call each other', { timeout: 60_000, skip: missing }, () => {
  const there = {};
  let namespace, server, rpc, pages;
  const endpoints = {};

  before(async () => {
    await furnishTwo(there);
    ({ namespace, server, rpc, pages } = there);
    for (const page of Object.values(pages)) {
      await page.evaluate(LOOK);
      await page.evaluate(CALL);
    }
  });

  after(() => leaveTwo(there));

  /** Makes a page's offer, has the server answer it, and carries the server's candidates to the page. */
  async function negotiate(name) {
    const [page, endpoint] = [pages[name], endpoints[name]];
    rpc.on(endpoint, 'IceCandidateFound', ({ candidate }) => {
      const { candidate: text, sdpMid, sdpMLineIndex } = candidate;
      page.evaluate((found) => window.call.candidate(found), { candidate: text, sdpMid, sdpMLineIndex }).catch(() => {});
    });
    for (const type of ['IceCandidateFound', 'ConnectionStateChanged']) await rpc.subscribe(endpoint, type);
    const offer = await page.evaluate(() => window.call.offer());
    assert.match(offer, new RegExp(`candidate:.* ${namespace.address.replaceAll('.', '\\.')} \\d+ typ host`), `${name} has a candidate in the namespace`);
    const answer = await rpc.invoke(endpoint, 'processOffer', { offer });
    await page.evaluate((sdp) => window.call.accept(sdp), answer);
    await rpc.invoke(endpoint, 'gatherCandidates');
    return answer;
  }

  test('both browsers negotiate and connect', async () => {
    const pipeline = await rpc.create('MediaPipeline');
    for (const name of Object.keys(pages)) endpoints[name] = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
    await rpc.invoke(endpoints.firefox, 'connect', { sink: endpoints.chromium });
    await rpc.invoke(endpoints.chromium, 'connect', { sink: endpoints.firefox });
    for (const name of Object.keys(pages)) {
      const answer = await negotiate(name);
      const ports = [...answer.matchAll(/^m=(\w+) (\d+)/gm)].map(([, kind, port]) => [kind, port !== '0']);
      assert.deepEqual(ports.sort(), [['audio', true], ['video', true]], `${name}: both lines are taken`);
    }
    await Promise.all(Object.entries(pages).map(([name, page]) =>
      until(`${name} is connected`, () => page.evaluate(() => window.call.figures()), ({ state }) => state === 'connected', 15_000)));
    const isConnected = (object) => (e) => e.object === object && e.type === 'ConnectionStateChanged' && e.data.newState === 'CONNECTED';
    await Promise.all(Object.values(endpoints).map((object) => rpc.event(isConnected(object), 'CONNECTED')));
  });

  for (const [name, other] of [['firefox', 'chromium'], ['chromium', 'firefox']]) {
    test(`${name} sees ${other}`, async () => {
      const figures = (of) => () => pages[of].evaluate(() => window.call.figures());
      const first = await until('a picture', figures(name), ({ decoded }) => decoded > 0, 15_000);
      await until('its size is what the other sends', async () => [await figures(name)(), await figures(other)()],
        ([here, there]) => here.width > 0 && here.width === there.sentWidth && here.height === there.sentHeight, 10_000);
      const later = await until('more pictures', figures(name), ({ decoded }) => decoded >= first.decoded + FRAMES, 15_000);
      assert.equal(later.width * 3, later.height * 4, `the picture is as broad as it was: ${later.width}x${later.height}`);
      assert.ok(later.seen > 0, 'the video element shows it');
      await until('the picture changes', () => pages[name].evaluate(() => window.look.change('#other', 400)), (change) => change > 0.1, 10_000);
    });

    test(`${name} hears ${other}`, async () => {
      const figures = () => pages[name].evaluate(() => window.call.figures());
      const first = await figures();
      const later = await until('sound that is not silence', figures,
        ({ audioPackets, energy }) => audioPackets > first.audioPackets + FRAMES && energy > first.energy && energy > 0, 15_000);
      assert.ok(later.energy > 0);
    });
  }

  test('nothing went wrong on the way', async () => {
    for (const page of Object.values(pages)) await page.evaluate(() => window.call.end());
    assert.deepEqual(pages.chromium.troubles, []);
    assert.ok(!/panicked| ERROR /.test(server.log()), server.log().split('\n').filter((line) => /panicked| ERROR /.test(line)).join('\n'));
  });
});
