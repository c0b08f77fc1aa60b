// Browsers that have no codec in common see and hear each other all the same: what one sends is converted for the other. Where
// codecs agree nothing is converted.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { LOOK, artefacts, launch, newPage, serveTestPage, until } from './browser.mjs';
import { CALLS, join } from './call.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

/** Kurento's list, and G722. */
const SDP = {
  numAudioMedias: 1, numVideoMedias: 1,
  audioCodecs: ['opus/48000/2', 'PCMU/8000', 'PCMA/8000', 'G722/8000'].map((name) => ({ name })),
  videoCodecs: ['VP8/90000', 'VP9/90000', 'H264/90000', 'AV1/90000'].map((name) => ({ name })),
};

/** What stands in front of the two cameras, and how a converted picture of it may look: the white square moves. */
const RED = { colour: 'rgb(200, 20, 20)', hertz: 440 };
const BLUE = { colour: 'rgb(20, 40, 200)', hertz: 880 };
const isRed = ([r, g, b]) => r > 120 && g < 90 && b < 90;
const isBlue = ([r, g, b]) => b > 120 && r < 90 && g < 110;

describe('conversion between browsers', { timeout: 180_000 }, () => {
  let browser, server, site, rpc;
  before(async () => {
    [browser, server, site] = await Promise.all([launch(), startServer({ modules: { 'SdpEndpoint.conf.json': JSON.stringify(SDP) } }), serveTestPage()]);
    rpc = await Rpc.open(server.url);
  });
  after(async () => {
    rpc?.close();
    await browser?.close();
    await site?.close();
    await server?.stop();
  });

  /** Two pages with endpoints of a pipeline of their own, each shown to the other. */
  async function conversation(one, two) {
    const pipeline = await rpc.create('MediaPipeline');
    const people = [];
    for (const [name, perform, codecs] of [['a', RED, one], ['b', BLUE, two]]) {
      const page = await newPage(browser);
      await page.addInitScript(LOOK);
      await page.addInitScript(CALLS);
      await page.goto(site.url);
      const endpoint = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
      const told = [];
      for (const event of ['MediaTranscodingStateChanged', 'Error']) {
        await rpc.subscribe(endpoint, event);
        rpc.on(endpoint, event, (data) => told.push(data));
      }
      const call = await join(page, rpc, endpoint, name, { perform, codecs });
      people.push({ name, page, endpoint, told, call });
    }
    const [a, b] = people;
    await rpc.invoke(a.endpoint, 'connect', { sink: b.endpoint });
    await rpc.invoke(b.endpoint, 'connect', { sink: a.endpoint });
    return { pipeline, a, b };
  }

  /** What a person sees and hears of the other one, once it does. */
  async function experiences({ name, page, call }, looks, hertz) {
    const remote = `#remote_${name}`;
    await until(`a picture at ${name}`, () => page.evaluate((s) => window.look.colour(s), remote), looks, 30_000);
    await until(`something that moves at ${name}`, () => page.evaluate((s) => window.look.change(s, 200), remote), (change) => change > 0.5);
    await until(`a tone at ${name}`, () => page.evaluate((s) => window.look.pitch(s), remote), (p) => Math.abs(p.hertz - hertz) < 15 && p.above > 15);
    return call.figures();
  }

  /** Converters at work, as the metrics tell: { 'video VP8 raw': 1, … }. */
  async function converters() {
    const text = await (await fetch(new URL('/metrics', server.url.replace(/^ws/, 'http')))).text();
    const lines = [...text.matchAll(/^rivero_converters\{kind="(.*)",from="(.*)",to="(.*)"\} (\d+)$/gm)];
    return Object.fromEntries(lines.filter(([, , , , count]) => count !== '0').map(([, kind, from, to, count]) => [`${kind} ${from} ${to}`, Number(count)]));
  }

  const states = ({ told }, kind) => told.filter((e) => e.mediaType === kind).map((e) => e.state);

  const PAIRS = [
    [{ video: 'VP8', audio: 'opus' }, { video: 'H264', audio: 'PCMU' }],
    [{ video: 'VP8', audio: 'opus' }, { video: 'H264', audio: 'G722' }],
    [{ video: 'VP9', audio: 'PCMA' }, { video: 'AV1', audio: 'opus' }],
  ];
  for (const [one, two] of PAIRS) {
    test(`${one.video} and ${one.audio} talk with ${two.video} and ${two.audio}`, async () => {
      const { pipeline, a, b } = await conversation(one, two);
      const [atA, atB] = await Promise.all([experiences(a, isBlue, BLUE.hertz), experiences(b, isRed, RED.hertz)]);
      assert.equal(atA.codec, `video/${one.video}`);
      assert.equal(atB.codec, `video/${two.video}`);
      for (const person of [a, b]) {
        assert.deepEqual(person.told.filter((e) => e.description), [], 'no errors');
        for (const kind of ['AUDIO', 'VIDEO']) {
          assert.deepEqual(states(person, kind), ['TRANSCODING'], `${kind} of ${person.name}`);
          assert.equal(await rpc.invoke(person.endpoint, 'isMediaTranscoding', { mediaType: kind }), true);
        }
        await person.page.screenshot({ path: `${artefacts}/transcoding-${one.video}-${two.video}-${person.name}.png` });
      }
      const wanted = {};
      for (const [from, to] of [[one, two], [two, one]]) {
        for (const kind of ['video', 'audio']) Object.assign(wanted, { [`${kind} ${from[kind]} raw`]: 1, [`${kind} raw ${to[kind]}`]: 1 });
      }
      assert.deepEqual(await converters(), wanted);
      assert.match(await rpc.invoke(pipeline, 'getGstreamerDot'), /Encoder/);
      await rpc.release(pipeline);
      await until('the converters are gone', converters, (now) => Object.keys(now).length === 0);
    });
  }

  test('equal codecs are not touched', async () => {
    const { pipeline, a, b } = await conversation({ video: 'VP8', audio: 'opus' }, { video: 'VP8', audio: 'opus' });
    await Promise.all([experiences(a, isBlue, BLUE.hertz), experiences(b, isRed, RED.hertz)]);
    for (const person of [a, b]) {
      for (const kind of ['AUDIO', 'VIDEO']) {
        assert.deepEqual(states(person, kind), ['NOT_TRANSCODING'], `${kind} of ${person.name}`);
        assert.equal(await rpc.invoke(person.endpoint, 'isMediaTranscoding', { mediaType: kind }), false);
      }
    }
    assert.deepEqual(await converters(), {});
    assert.doesNotMatch(await rpc.invoke(pipeline, 'getGstreamerDot'), /Encoder|Decoder/);
    await rpc.release(pipeline);
  });
});
