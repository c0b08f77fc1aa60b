// Endpoints of the server talk to each other: one offers, the other answers, and what a page publishes at one side is seen
// and heard by a page at the other. Between two servers, and between two endpoints of one.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { LOOK, launch, newPage, serveTestPage, until } from './browser.mjs';
import { CALLS, join } from './call.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

const FRAMES = 30;
const LEFT = { colour: 'rgb(190, 70, 50)', hertz: 440 };
const RIGHT = { colour: 'rgb(40, 90, 180)', hertz: 1320 };

/** Sends every candidate of one endpoint to another as it is found. */
async function trickle(from, source, to, sink, troubles) {
  await from.subscribe(source, 'IceCandidateFound');
  from.on(source, 'IceCandidateFound', ({ candidate }) => {
    to.invoke(sink, 'addIceCandidate', { candidate }).catch((error) => troubles.push(error.message));
  });
}

/** The strongest frequency of what is heard in a video, in Hz. */
const pitch = (page, selector) => page.evaluate(async (s) => {
  const context = new AudioContext();
  await context.resume();
  const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
  context.createMediaStreamSource(new MediaStream(document.querySelector(s).srcObject.getAudioTracks())).connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  let best = 0;
  const end = performance.now() + 8_000;
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    analyser.getFloatFrequencyData(bins);
    best = bins.indexOf(Math.max(...bins));
    if (bins[best] > -40) break;
  }
  const hertz = (best * context.sampleRate) / analyser.fftSize;
  await context.close();
  return hertz;
}, selector);

async function assertSeen(page, local, remote) {
  const [here, there] = await Promise.all([local, remote].map((s) => page.evaluate((v) => window.look.colour(v), s)));
  here.forEach((c, i) => assert.ok(Math.abs(c - there[i]) < 20, `${remote} shows what ${local} sends: ${there.map(Math.round)} for ${here.map(Math.round)}`));
  const change = await page.evaluate((s) => window.look.change(s, 500), remote);
  assert.ok(change > 0.1, `the picture in ${remote} moves: ${change}`);
}

describe('endpoints talk to each other', { timeout: 60_000 }, () => {
  let browser, site;
  const servers = [], rpcs = [];
  before(async () => {
    [browser, site] = await Promise.all([launch(), serveTestPage()]);
    for (let n = 0; n < 2; n += 1) {
      servers.push(await startServer());
      rpcs.push(await Rpc.open(servers[n].url));
    }
  });
  after(async () => {
    for (const rpc of rpcs) await rpc.close();
    await Promise.all([browser?.close(), site?.close()]);
    for (const server of servers) await server.stop();
  });

  for (const { what, places } of [{ what: 'of two servers', places: [0, 1] }, { what: 'of one server', places: [0, 0] }]) {
    test(what, { timeout: 40_000 }, async () => {
      const [left, right] = places.map((at) => rpcs[at]);
      const page = await newPage(browser);
      await page.addInitScript(LOOK);
      await page.addInitScript(CALLS);
      await page.goto(site.url);
      // page --- pages[0] === trunks[0] ~~~ trunks[1] === pages[1] --- page
      const pipelines = [], pages = [], trunks = [];
      for (const rpc of [left, right]) {
        const mediaPipeline = await rpc.create('MediaPipeline');
        const [near, far] = [await rpc.create('WebRtcEndpoint', { mediaPipeline }), await rpc.create('WebRtcEndpoint', { mediaPipeline })];
        await rpc.invoke(near, 'connect', { sink: far });
        await rpc.invoke(far, 'connect', { sink: near });
        pipelines.push(mediaPipeline);
        pages.push(near);
        trunks.push(far);
        await rpc.subscribe(far, 'Error');
        await rpc.subscribe(near, 'Error');
      }
      const [offerer, answerer] = trunks;
      await trickle(left, offerer, right, answerer, page.troubles);
      await trickle(right, answerer, left, offerer, page.troubles);
      const offer = await left.invoke(offerer, 'generateOffer');
      const answer = await right.invoke(answerer, 'processOffer', { offer });
      await left.invoke(offerer, 'processAnswer', { answer });
      await Promise.all([left.invoke(offerer, 'gatherCandidates'), right.invoke(answerer, 'gatherCandidates')]);
      for (const [rpc, trunk] of [[left, offerer], [right, answerer]]) {
        await until('the endpoints are connected', () => rpc.invoke(trunk, 'getConnectionState'), (state) => state === 'CONNECTED', 10_000);
      }

      const here = await join(page, left, pages[0], 'left', { perform: LEFT });
      const there = await join(page, right, pages[1], 'right', { perform: RIGHT });
      for (const call of [here, there]) {
        const figures = await until('frames and sound', call.figures, (f) => f.decoded > FRAMES && f.audioPackets > 30);
        assert.equal(figures.lost, 0);
        assert.equal(figures.codec, figures.sentCodec, 'passed through, not transcoded');
        assert.deepEqual([figures.width, figures.height], [320, 240]);
      }
      await assertSeen(page, '#local_left', '#remote_right');
      await assertSeen(page, '#local_right', '#remote_left');
      for (const [video, { hertz }] of [['#remote_right', LEFT], ['#remote_left', RIGHT]]) {
        const heard = await pitch(page, video);
        assert.ok(Math.abs(heard - hertz) < 12, `${hertz} Hz are heard in ${video}: ${heard}`);
      }

      // What one end sends the other receives, by both ends' own account.
      const ends = [[left, offerer, right, answerer], [right, answerer, left, offerer]];
      for (const [from, source, to, sink] of ends) {
        const read = async (rpc, object, type) => Object.values(await rpc.invoke(object, 'getStats')).filter((s) => s.type === type);
        const received = await read(to, sink, 'inboundrtp');
        const sent = await read(from, source, 'outboundrtp');
        assert.deepEqual(received.map((s) => s.ssrc).sort(), sent.map((s) => s.ssrc).sort());
        for (const stream of received) {
          const its = sent.find((s) => s.ssrc === stream.ssrc);
          assert.ok(stream.packetsReceived > 30 && stream.packetsReceived <= its.packetsSent, `${stream.packetsReceived} of ${its.packetsSent}`);
          assert.ok(stream.bytesReceived <= its.bytesSent);
          assert.equal(stream.packetsLost, 0);
        }
        const dtls = await to.invoke(sink, 'getDtlsConnectionState');
        assert.deepEqual(dtls.map((d) => d.state), ['CONNECTED']);
      }
      for (const rpc of [left, right]) assert.deepEqual(rpc.events.filter((e) => e.type === 'Error').map((e) => e.data.description), []);
      assert.deepEqual(page.troubles, []);
      await page.context().close();
      await left.release(pipelines[0]);
      await right.release(pipelines[1]);
    });
  }
});
