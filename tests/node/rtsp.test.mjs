// A camera's stream played into Chromium: over TCP and over UDP, and when the camera restarts in its midst.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { LOOK, launch, newPage, serveTestPage, until } from './browser.mjs';
import { CALLS, join } from './call.mjs';
import { Rpc } from './rpc.mjs';
import { run } from './rtp-peers.mjs';
import { freePort, root, startServer } from './server.mjs';

const isRed = ([r, g, b]) => r > 150 && g < 90 && b < 90;

/** GStreamer's RTSP server, ready. */
async function camera(port, transports) {
  const it = run('/usr/bin/python3', [path.join(root, 'tests/node/rtsp-server.py'), String(port), transports]);
  await until('the camera', () => it.log(), (log) => log.includes('ready'), 15_000);
  return it;
}

describe('PlayerEndpoint of RTSP', { timeout: 180_000 }, () => {
  let browser, server, site, rpc, page;
  const cameras = new Set();
  const start = async (...args) => {
    const it = await camera(...args);
    cameras.add(it);
    return it;
  };
  const end = async (it) => {
    cameras.delete(it);
    await it.stop('SIGKILL');
  };

  before(async () => {
    [browser, server, site] = await Promise.all([launch(), startServer(), serveTestPage()]);
    rpc = await Rpc.open(server.url);
    page = await newPage(browser);
    await page.addInitScript(LOOK);
    await page.addInitScript(CALLS);
    await page.goto(site.url);
  });
  after(async () => {
    await Promise.all([...cameras].map((it) => it.stop('SIGKILL')));
    rpc?.close();
    await browser?.close();
    await site?.close();
    await server?.stop();
  });

  /** A player of a camera and a viewer of it. */
  async function stage(name, uri) {
    const pipeline = await rpc.create('MediaPipeline');
    const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri, networkCache: 200 });
    const viewer = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
    const told = [];
    for (const event of ['UriEndpointStateChanged', 'EndOfStream', 'Error']) {
      await rpc.subscribe(player, event);
      rpc.on(player, event, (data) => told.push(data.state ?? data.type ?? event));
    }
    await rpc.invoke(player, 'connect', { sink: viewer });
    const call = await join(page, rpc, viewer, name, { send: false });
    await until('a connection', call.figures, (f) => f.state === 'connected');
    const remote = `#remote_${name}`;
    const shown = async () => {
      await until('red', () => page.evaluate((s) => window.look.colour(s), remote), isRed, 15_000);
      await until('the tone', () => page.evaluate((s) => window.look.pitch(s, 300), remote), (p) => Math.abs(p.hertz - 440) < 15 && p.above > 10, 15_000);
    };
    return { pipeline, player, told, call, remote, shown };
  }

  for (const [transports, coding, asked] of [['tcp', 'h264', 'RTP/AVP/TCP'], ['udp', 'vp8', 'client_port']]) {
    test(`over ${transports}, ${coding}`, async () => {
      const port = await freePort();
      const source = await start(port, transports);
      const it = await stage(`${transports}_${coding}`, `rtsp://127.0.0.1:${port}/${coding}`);
      await rpc.invoke(it.player, 'play');
      await it.shown();
      assert.ok(source.log().includes(asked), source.log());
      const info = await rpc.invoke(it.player, 'getVideoInfo');
      assert.deepEqual([info.isSeekable, info.duration], [false, 0]);
      await assert.rejects(rpc.invoke(it.player, 'setPosition', { position: 0 }), { code: 40700 });
      const transcodes = await Promise.all(['AUDIO', 'VIDEO'].map((mediaType) => rpc.invoke(it.player, 'isMediaTranscoding', { mediaType })));
      assert.deepEqual(transcodes, [false, false], 'what a browser takes is not coded anew');
      await rpc.invoke(it.player, 'pause');
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await rpc.invoke(it.player, 'play');
      const frames = async () => (await page.evaluate((s) => document.querySelector(s).getVideoPlaybackQuality().totalVideoFrames, it.remote));
      const before = await frames();
      await until('it goes on', frames, (now) => now > before + 20, 10_000);
      await rpc.invoke(it.player, 'stop');
      await until('the camera is told', () => source.log(), (log) => log.includes('teardown'), 5_000);
      assert.deepEqual(it.told, ['START', 'PAUSE', 'START', 'STOP']);
      await rpc.release(it.pipeline);
      await end(source);
    });
  }

  test('a camera that restarts is told as an error, and plays again by itself', async () => {
    const port = await freePort();
    let source = await start(port, 'tcp');
    const it = await stage('restart', `rtsp://127.0.0.1:${port}/vp8`);
    await rpc.invoke(it.player, 'play');
    await it.shown();
    const frames = async () => (await page.evaluate((s) => document.querySelector(s).getVideoPlaybackQuality().totalVideoFrames, it.remote));
    for (const outage of [1, 2]) {
      await end(source);
      await until('the news', () => it.told, (told) => told.length === outage + 1, 20_000);
      const before = await frames();
      source = await start(port, 'tcp');
      await until('pictures again', frames, (now) => now > before + 20, 20_000);
      await it.shown();
    }
    // Kurento's applications order it to be played again; it need not wait for that, and loses nothing by it.
    await end(source);
    await until('the news', () => it.told, (told) => told.length === 4, 20_000);
    await rpc.invoke(it.player, 'pause');
    await rpc.invoke(it.player, 'play');
    source = await start(port, 'tcp');
    await rpc.invoke(it.player, 'play');
    const before = await frames();
    await until('pictures again', frames, (now) => now > before + 20, 20_000);
    await rpc.invoke(it.player, 'stop');
    await until('the last word', () => it.told, (told) => told.at(-1) === 'STOP');
    const broke = 'UNEXPECTED_ELEMENT_ERROR';
    assert.deepEqual(it.told, ['START', broke, broke, broke, 'PAUSE', 'START', 'STOP']);
    await rpc.release(it.pipeline);
    await end(source);
  });
});
