// Films played into Chromium: files that ffmpeg makes, from the file system and over HTTP, as they are coded or converted.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { LOOK, launch, newPage, serveTestPage, until } from './browser.mjs';
import { CALLS, join } from './call.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

/** Red for two seconds, then blue for two, with a tone of 440 Hz. */
const PICTURE = 'color=red:s=320x240:r=25:d=2[a];color=blue:s=320x240:r=25:d=2[b];[a][b]concat=n=2:v=1:a=0';
const FILMS = {
  'vp8.webm': ['-c:v', 'libvpx', '-g', '25', '-c:a', 'libopus'],
  'h264.mp4': ['-c:v', 'libx264', '-g', '100', '-bf', '2', '-pix_fmt', 'yuv420p', '-c:a', 'aac'],
  'mpeg2.mpg': ['-c:v', 'mpeg2video', '-c:a', 'mp2'],
  'vp9.mkv': ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-c:a', 'libvorbis'],
};
const isRed = ([r, g, b]) => r > 150 && g < 90 && b < 90;
const isBlue = ([r, g, b]) => b > 150 && g < 90 && r < 90;

describe('PlayerEndpoint', { timeout: 240_000 }, () => {
  let browser, server, site, rpc, folder, page;
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-films-'));
    for (const [name, coding] of Object.entries(FILMS)) {
      const args = ['-v', 'error', '-f', 'lavfi', '-i', PICTURE, '-f', 'lavfi', '-i', 'sine=440:r=48000:d=4', ...coding, path.join(folder, name)];
      assert.equal(spawnSync('ffmpeg', args, { stdio: 'inherit', timeout: 60_000 }).status, 0, `ffmpeg makes ${name}`);
    }
    [browser, server, site] = await Promise.all([launch(), startServer(), serveTestPage()]);
    rpc = await Rpc.open(server.url);
    page = await newPage(browser);
    await page.addInitScript(LOOK);
    await page.addInitScript(CALLS);
    await page.goto(site.url);
  });
  after(async () => {
    rpc?.close();
    await browser?.close();
    await site?.close();
    await server?.stop();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  /** A player and a viewer of it. */
  async function stage(name, uri) {
    const pipeline = await rpc.create('MediaPipeline');
    const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri });
    const viewer = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
    const told = [];
    for (const event of ['UriEndpointStateChanged', 'EndOfStream', 'Error', 'MediaTranscodingStateChanged']) {
      await rpc.subscribe(player, event);
      rpc.on(player, event, (data) => told.push({ event, ...data }));
    }
    await rpc.invoke(player, 'connect', { sink: viewer });
    const call = await join(page, rpc, viewer, name, { send: false });
    await until('a connection', call.figures, (f) => f.state === 'connected');
    return { pipeline, player, call, told, remote: `#remote_${name}`, end: () => rpc.release(pipeline) };
  }
  const colour = ({ remote }) => page.evaluate((s) => window.look.colour(s), remote);
  const words = ({ told }) => told.filter((t) => t.event !== 'MediaTranscodingStateChanged').map((t) => t.state ?? t.type ?? t.event);

  for (const name of Object.keys(FILMS)) {
    test(`${name} plays to its end`, async () => {
      const it = await stage(name.replace('.', '_'), `file://${folder}/${name}`);
      const began = Date.now();
      await rpc.invoke(it.player, 'play');
      await until('red', () => colour(it), isRed, 5_000);
      await until('the tone', () => page.evaluate((s) => window.look.pitch(s, 300), it.remote), (p) => Math.abs(p.hertz - 440) < 15 && p.above > 10);
      const info = await rpc.invoke(it.player, 'getVideoInfo');
      assert.ok(Math.abs(info.duration - 4000) < 200 && info.isSeekable, JSON.stringify(info));
      await until('blue', () => colour(it), isBlue, 8_000);
      await until('the end', () => it.told, (told) => told.some((t) => t.event === 'EndOfStream'));
      const seconds = (Date.now() - began) / 1000;
      assert.ok(seconds > 3.5 && seconds < 8, `${seconds} s`);
      assert.deepEqual(words(it), ['START', 'STOP', 'EndOfStream']);
      await it.end();
    });
  }

  test('pause, seek, stop and play again', async () => {
    const it = await stage('orders', `file://${folder}/h264.mp4`);
    await rpc.invoke(it.player, 'play');
    await until('red', () => colour(it), isRed, 5_000);
    await rpc.invoke(it.player, 'pause');
    const at = await rpc.invoke(it.player, 'getPosition');
    await new Promise((resolve) => setTimeout(resolve, 700));
    assert.equal(await rpc.invoke(it.player, 'getPosition'), at, 'time stands still');
    assert.ok(isRed(await colour(it)));
    await rpc.invoke(it.player, 'setPosition', { position: 2600 });
    await rpc.invoke(it.player, 'play');
    await until('blue', () => colour(it), isBlue, 5_000);
    assert.ok((await rpc.invoke(it.player, 'getPosition')) >= 2600);
    await rpc.invoke(it.player, 'stop');
    await rpc.invoke(it.player, 'play');
    await until('red again', () => colour(it), isRed, 5_000);
    await assert.rejects(rpc.invoke(it.player, 'setPosition', { position: 60_000 }), { code: 40700 });
    await rpc.invoke(it.player, 'stop');
    await until('the last word', () => words(it), (all) => all.length === 6);
    assert.deepEqual(words(it), ['START', 'PAUSE', 'START', 'STOP', 'START', 'STOP']);
    await it.end();
  });

  test('over HTTP, with ranges', async () => {
    const asked = [];
    const films = http.createServer((request, response) => {
      const file = path.join(folder, path.basename(request.url));
      const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
      const size = fs.statSync(file).size;
      asked.push(request.headers.range);
      const [start, end] = [Number(from ?? 0), to ? Number(to) : size - 1];
      response.writeHead(from ? 206 : 200, { 'accept-ranges': 'bytes', 'content-length': end - start + 1, ...(from ? { 'content-range': `bytes ${start}-${end}/${size}` } : {}) });
      fs.createReadStream(file, { start, end }).pipe(response);
    });
    await new Promise((resolve) => films.listen(0, '127.0.0.1', resolve));
    const it = await stage('http', `http://127.0.0.1:${films.address().port}/vp8.webm`);
    await rpc.invoke(it.player, 'play');
    await until('red', () => colour(it), isRed, 5_000);
    await until('the end', () => it.told, (told) => told.some((t) => t.event === 'EndOfStream'));
    assert.ok(asked.length > 0);
    await it.end();
    films.closeAllConnections();
    films.close();
  });

  test('what is not there, and what is no film', async () => {
    fs.writeFileSync(path.join(folder, 'broken.webm'), 'this is no film'.repeat(100));
    for (const [uri, type, description] of [
      [`file://${folder}/nothing.webm`, 'INVALID_URI', 'Invalid URI'],
      ['http://127.0.0.1:9/a.webm', 'INVALID_URI', 'Invalid URI'],
      ['gopher://127.0.0.1/a', 'INVALID_URI', 'Invalid URI'],
      [`file://${folder}/broken.webm`, 'INVALID_MEDIA', 'Invalid Media'],
    ]) {
      const pipeline = await rpc.create('MediaPipeline');
      const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri });
      await rpc.subscribe(player, 'Error');
      const heard = rpc.waitFor(player, 'Error');
      await rpc.invoke(player, 'play');
      const error = await heard;
      assert.deepEqual([error.type, error.errorCode, error.description], [type, 0, description], uri);
      await rpc.release(pipeline);
    }
  });
});
