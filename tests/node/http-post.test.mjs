// Media posted over HTTP, as scripts and as browsers' forms send it, shown in Chromium; and what is refused.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { LOOK, launch, newPage, serveTestPage, until } from './browser.mjs';
import { CALLS, join } from './call.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

/** Red for two seconds, then blue for two, with a tone of 440 Hz. */
const PICTURE = 'color=red:s=320x240:r=25:d=2[a];color=blue:s=320x240:r=25:d=2[b];[a][b]concat=n=2:v=1:a=0';
const FILMS = {
  'a.webm': ['-c:v', 'libvpx', '-g', '25', '-c:a', 'libopus'],
  'index-first.mp4': ['-c:v', 'libx264', '-g', '100', '-bf', '2', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-movflags', '+faststart'],
  'index-last.mp4': ['-c:v', 'libx264', '-g', '100', '-pix_fmt', 'yuv420p', '-c:a', 'aac'],
  'a.ts': ['-c:v', 'mpeg2video', '-c:a', 'mp2'],
};
const EVENTS = ['MediaSessionStarted', 'EndOfStream', 'MediaSessionTerminated', 'Error'];
const isRed = ([r, g, b]) => r > 150 && g < 90 && b < 90;
const isBlue = ([r, g, b]) => b > 150 && g < 90 && r < 90;

describe('HttpPostEndpoint', { timeout: 240_000 }, () => {
  let browser, server, site, rpc, folder, page;
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-posts-'));
    for (const [name, coding] of Object.entries(FILMS)) {
      const args = ['-v', 'error', '-f', 'lavfi', '-i', PICTURE, '-f', 'lavfi', '-i', 'sine=440:r=48000:d=4', ...coding, path.join(folder, name)];
      assert.equal(spawnSync('ffmpeg', args, { stdio: 'inherit', timeout: 60_000 }).status, 0, `ffmpeg makes ${name}`);
    }
    const settings = { 'HttpEndpoint.conf.ini': 'serverAddress=127.0.0.1\nport=0\nannouncedAddress=127.0.0.1\n' };
    [browser, server, site] = await Promise.all([launch(), startServer({ modules: settings }), serveTestPage()]);
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

  const film = (name) => fs.readFileSync(path.join(folder, name));
  /** An endpoint, its URL and what it tells. */
  async function endpoint(options = {}) {
    const pipeline = await rpc.create('MediaPipeline');
    const post = await rpc.create('HttpPostEndpoint', { mediaPipeline: pipeline, disconnectionTimeout: 60, ...options });
    const told = [];
    for (const event of EVENTS) {
      await rpc.subscribe(post, event);
      rpc.on(post, event, (data) => told.push({ event, ...data }));
    }
    const url = await rpc.invoke(post, 'getUrl');
    const heard = () => told.map((t) => t.event);
    return { pipeline, post, url, told, heard, end: () => rpc.release(pipeline) };
  }
  /** With a viewer. */
  async function stage(name, options) {
    const it = await endpoint(options);
    const viewer = await rpc.create('WebRtcEndpoint', { mediaPipeline: it.pipeline });
    await rpc.invoke(it.post, 'connect', { sink: viewer });
    const call = await join(page, rpc, viewer, name, { send: false });
    await until('a connection', call.figures, (f) => f.state === 'connected');
    return { ...it, remote: `#remote_${name}` };
  }
  const colour = ({ remote }) => page.evaluate((s) => window.look.colour(s), remote);
  const send = (url, body, headers = {}, method = 'POST') => fetch(url, { method, body, headers, duplex: 'half' });
  const cookie = (answer) => answer.headers.getSetCookie()[0]?.split(';')[0];

  async function watched(it, posting) {
    await until('red', () => colour(it), isRed, 8_000);
    await until('the tone', () => page.evaluate((s) => window.look.pitch(s, 300), it.remote), (p) => Math.abs(p.hertz - 440) < 15 && p.above > 10);
    await until('blue', () => colour(it), isBlue, 8_000);
    assert.equal((await posting).status, 200);
    await until('the end', it.heard, (heard) => heard.includes('EndOfStream'));
    assert.deepEqual(it.heard(), ['MediaSessionStarted', 'EndOfStream']);
  }

  for (const name of Object.keys(FILMS)) {
    test(`${name}, in chunks`, async () => {
      const it = await stage(name.replace(/\W/g, '_'));
      const bytes = film(name);
      const chunks = (async function* () {
        for (let at = 0; at < bytes.length; at += 5000) yield bytes.subarray(at, at + 5000);
      })();
      await watched(it, send(it.url, chunks, { 'content-type': 'video/any' }));
      await it.end();
    });
  }

  test('a stream that is posted as it comes into being', async () => {
    const it = await stage('live');
    const bytes = film('a.webm');
    // In four seconds, as it lasts.
    const drops = (async function* () {
      for (let part = 0; part < 40; part++) {
        yield bytes.subarray(Math.floor((bytes.length * part) / 40), Math.floor((bytes.length * (part + 1)) / 40));
        await wait(100);
      }
    })();
    await watched(it, send(it.url, drops, { 'content-type': 'video/webm' }));
    await it.end();
  });

  test('the form of a page in a browser, twice', async () => {
    const it = await stage('form');
    const base64 = film('a.webm').toString('base64');
    const post = () => page.evaluate(async ({ url, base64 }) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const form = new FormData();
      form.append('title', 'a film');
      form.append('film', new File([bytes], 'a.webm', { type: 'video/webm' }));
      form.append('note', 'behind it');
      // Another header makes the browser ask first.
      const answer = await fetch(url, { method: 'POST', body: form, credentials: 'include', headers: { 'x-any': 'thing' } });
      return { status: answer.status };
    }, { url: it.url, base64 });
    await watched(it, post());
    await watched({ ...it, heard: () => it.heard().filter((_, i) => i !== 1) }, post());
    await it.end();
  });

  test('two files in a form follow one another', async () => {
    const it = await endpoint();
    const form = new FormData();
    form.append('one', new Blob([film('a.webm')]), 'one.webm');
    form.append('two', new Blob([film('index-last.mp4')]), 'two.mp4');
    assert.equal((await send(it.url, form)).status, 200);
    await until('both', it.heard, (heard) => heard.filter((e) => e === 'EndOfStream').length === 2, 15_000);
    assert.deepEqual(it.heard(), ['MediaSessionStarted', 'EndOfStream', 'EndOfStream']);
    await it.end();
  });

  test('wrong requests', async () => {
    const it = await endpoint();
    const { port } = new URL(it.url);
    assert.match(it.url, /^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f-]{36}$/);
    const bytes = film('a.webm');
    assert.equal((await send(`http://127.0.0.1:${port}/nothing`, bytes)).status, 404);
    assert.equal((await send(it.url, undefined, {}, 'GET')).status, 405);
    assert.equal((await send(it.url, bytes, {}, 'PUT')).status, 405);
    const preflight = await send(it.url, undefined, { origin: 'http://a.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-a' }, 'OPTIONS');
    const allowed = ['origin', 'methods', 'headers', 'credentials'].map((name) => preflight.headers.get(`access-control-allow-${name}`));
    assert.deepEqual([preflight.status, ...allowed], [200, 'http://a.example', 'POST, OPTIONS', 'x-a', 'true']);
    const untold = await new Promise((resolve, reject) => {
      const request = http.request(it.url, { method: 'POST' }, (answer) => resolve(answer.resume().statusCode));
      request.on('error', reject).end(bytes);
    });
    assert.equal(untold, 406, 'no Content-Type');
    assert.equal((await send(it.url, bytes, { 'content-type': 'multipart/form-data' })).status, 406, 'no boundary');
    assert.deepEqual(it.heard(), [], 'none of them began a session');

    const first = await send(it.url, 'this is no film'.repeat(1000), { 'content-type': 'video/webm' });
    assert.equal(first.status, 415);
    assert.match(first.headers.getSetCookie()[0], new RegExp(`^HttpEPCookie=\\d{1,19}; domain=127.0.0.1; path=${new URL(it.url).pathname}$`));
    await until('what is wrong', it.heard, (heard) => heard.includes('Error'));
    assert.deepEqual(it.told.map((t) => t.type), ['MediaSessionStarted', 'INVALID_MEDIA']);
    assert.equal((await send(it.url, bytes, { 'content-type': 'video/webm' })).status, 400, 'no cookie');
    assert.equal((await send(it.url, bytes, { 'content-type': 'video/webm', cookie: 'HttpEPCookie=1' })).status, 400, 'another cookie');
    const broken = await send(it.url, 'no boundary in here', { 'content-type': 'multipart/form-data; boundary=x', cookie: cookie(first) });
    assert.equal(broken.status, 400, 'no form');
    const endless = await send(it.url, `--x\r\nContent-Disposition: form-data; name="${'a'.repeat(3 << 20)}`, { 'content-type': 'multipart/form-data; boundary=x', cookie: cookie(first) });
    assert.equal(endless.status, 400, 'headers without end');
    const good = await send(it.url, bytes, { 'content-type': 'video/webm', cookie: `a=b; ${cookie(first)}` });
    assert.equal(good.status, 200);
    await until('the end', it.heard, (heard) => heard.includes('EndOfStream'));
    await it.end();
    assert.equal((await send(it.url, bytes, { 'content-type': 'video/webm' })).status, 404, 'released');
  });

  test('a session ends when nobody is connected for some time', async () => {
    const it = await endpoint({ disconnectionTimeout: 1 });
    await wait(1500);
    assert.deepEqual(it.heard(), [], 'it waits for the first post');
    const bytes = film('a.webm');
    // It lasts longer than the time-out, but is connected.
    const drops = (async function* () {
      for (let part = 0; part < 20; part++) {
        yield bytes.subarray(Math.floor((bytes.length * part) / 20), Math.floor((bytes.length * (part + 1)) / 20));
        await wait(100);
      }
    })();
    const answer = await send(it.url, drops, { 'content-type': 'video/webm' });
    const since = Date.now();
    assert.equal(answer.status, 200);
    await until('the end of the session', it.heard, (heard) => heard.includes('MediaSessionTerminated'));
    assert.ok(Math.abs(Date.now() - since - 1000) < 400, `${Date.now() - since} ms`);
    assert.equal((await send(it.url, bytes, { 'content-type': 'video/webm', cookie: cookie(answer) })).status, 404);
    await it.end();
  });

  test('a peer that goes in the middle, and an endpoint that does', async () => {
    const it = await endpoint({ disconnectionTimeout: 1 });
    const bytes = film('a.webm');
    const { port, pathname } = new URL(it.url);
    const head = `POST ${pathname} HTTP/1.1\r\nHost: a\r\nContent-Type: video/webm\r\nContent-Length: ${bytes.length}\r\n\r\n`;
    const half = async (to) => {
      const socket = net.connect(Number(to.port), '127.0.0.1');
      socket.on('error', () => {});
      const url = to.pathname;
      socket.write(head.replace(pathname, url));
      socket.write(bytes.subarray(0, bytes.length / 2));
      return socket;
    };
    const socket = await half({ port, pathname });
    await until('a session', it.heard, (heard) => heard.includes('MediaSessionStarted'));
    await wait(300);
    socket.destroy();
    await until('both ends', it.heard, (heard) => heard.length === 3, 10_000);
    assert.deepEqual(it.heard().toSorted(), ['EndOfStream', 'MediaSessionStarted', 'MediaSessionTerminated'], 'what came was played');
    await it.end();

    const other = await endpoint();
    const left = await half(new URL(other.url));
    await until('a session', other.heard, (heard) => heard.includes('MediaSessionStarted'));
    const closed = new Promise((resolve) => left.on('close', resolve));
    left.resume();
    await other.end();
    await closed;
  });
});
