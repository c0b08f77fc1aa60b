// The page of the server does what it offers: it plays films, records what the browser sends, lists the recordings and plays them.
// What is checked is what a person would see and hear; and that strangers reach no other file through the list.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { LOOK, artefacts, launch, newPage, until } from './browser.mjs';
import { makeNamespace, whyNoNamespace } from './namespace.mjs';
import { Rpc } from './rpc.mjs';
import { run } from './rtp-peers.mjs';
import { binary, freePort, root, startServer } from './server.mjs';

/** Red for three seconds, then blue for three, with a tone of 440 Hz. */
const PICTURE = 'color=red:s=320x180:r=25:d=3[a];color=blue:s=320x180:r=25:d=3[b];[a][b]concat=n=2:v=1:a=0';
const isRed = ([r, g, b]) => r > 150 && g < 90 && b < 90;
const isBlue = ([r, g, b]) => b > 150 && g < 90 && r < 90;
/** Chromium's made-up camera. */
const isGreen = ([r, g, b]) => g > 90 && r < 60 && b < 60;

/** One request as it is written; nothing tidies its path up. */
function ask(base, path, { method = 'GET', headers = {} } = {}) {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const request = http.request({ hostname, port, path, method, headers, agent: false }, (response) => {
      const pieces = [];
      response.on('data', (piece) => pieces.push(piece));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end();
  });
}

let browser, folder, film;
before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-demo-'));
  film = path.join(folder, 'a film.webm');
  const args = ['-v', 'error', '-f', 'lavfi', '-i', PICTURE, '-f', 'lavfi', '-i', 'sine=440:r=48000:d=6', '-c:v', 'libvpx', '-g', '25', '-c:a', 'libopus', film];
  assert.equal(spawnSync('ffmpeg', args, { stdio: 'inherit', timeout: 60_000 }).status, 0, 'ffmpeg makes a film');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  if (folder) fs.rmSync(folder, { recursive: true });
});

/** The page of a server, with words for what a person reads on it. */
async function visit(server, part = '') {
  const page = await newPage(browser);
  await page.addInitScript(LOOK);
  await page.goto(`${server.http}/${part}`);
  const said = (id) => page.textContent(`#${id}`);
  return {
    page,
    said,
    says: (id, words, ms) => until(`${words} in #${id}`, () => said(id), (text) => words.test(text), ms),
    sees: (what, good, video = '#screen') => until(what, () => page.evaluate((s) => window.look.colour(s), video), good, 8_000),
    leave: async () => {
      assert.deepEqual(page.troubles, [], 'no error was thrown in the page');
      await page.context().close();
    },
  };
}

describe('the page plays and records', { timeout: 240_000 }, () => {
  let server, recordings, it, page;
  before(async () => {
    recordings = path.join(folder, 'kept here');
    server = await startServer({ demo: { recordings } });
    it = await visit(server);
    page = it.page;
  });
  after(async () => {
    await it?.leave();
    await server?.stop();
  });
  const pipelines = async () => {
    const rpc = await Rpc.open(server.url);
    const all = await rpc.invoke('manager_ServerManager', 'getPipelines');
    await rpc.close();
    return all.length;
  };

  test('a file, by keyboard: picture, sound, length', async () => {
    await page.click('nav a[href="#play"]');
    await it.says('play-status', /^Ready/);
    await page.fill('#film', film);
    await page.keyboard.press('Enter');
    await it.sees('red', isRed);
    await it.says('play-status', /^Playing .*a%20film\.webm through the server/);
    const heard = await until('the tone', () => page.evaluate(() => window.look.pitch('#screen', 300)), (p) => Math.abs(p.hertz - 440) < 15 && p.above > 10);
    assert.ok(heard);
    assert.equal(await page.evaluate(() => document.getElementById('screen').muted), false, 'a person who pressed Play hears it');
    await it.says('play-time', / \/ 0:06$/);
    await until('it is drawn', () => page.$$eval('#graph .node', (nodes) => nodes.map((n) => n.textContent).join()), (text) => /PlayerEndpoint/.test(text) && /WebRtcEndpoint/.test(text));
  });

  test('Pause holds it, the slider seeks, Play goes on to the end, which is told', async () => {
    await page.click('#play-pause');
    await it.says('play-status', /^Paused/);
    const position = () => page.evaluate(() => window.rivero.player.position);
    // What was asked for before the pause may still be answered.
    await until('it stands', async () => [await position(), await page.waitForTimeout(600), await position()], ([a, , b]) => a === b && a > 0);
    assert.ok(await page.evaluate(() => window.look.change('#screen', 500)) < 0.5, 'the picture stands still');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'play', 'who works by keyboard can go on');
    const slider = page.locator('#seek');
    await slider.fill('4500');
    await it.says('play-status', /go on from 0:0[45]/);
    await slider.press('ArrowLeft');
    await until('a tenth back', position, (ms) => ms > 3700 && ms < 4100);
    assert.match(await slider.getAttribute('aria-valuetext'), /^0:04 of 0:06$/);
    await page.click('#play');
    await it.sees('blue', isBlue);
    await it.says('play-status', /has ended \(EndOfStream\)/);
    assert.equal(await it.said('play'), 'Play again');
    await page.click('#play');
    await it.sees('red again', isRed);
    await page.click('#play-stop');
    await it.says('play-status', /^Stopped/);
    assert.equal(await pipelines(), 0, 'Stop releases the pipeline');
  });

  test('an address on another server, in the place of what is played', async () => {
    const films = http.createServer((request, response) => {
      const bytes = fs.readFileSync(film);
      const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
      const [start, end] = [Number(from ?? 0), to ? Number(to) : bytes.length - 1];
      response.writeHead(from ? 206 : 200, { 'accept-ranges': 'bytes', ...(from && { 'content-range': `bytes ${start}-${end}/${bytes.length}` }) });
      response.end(bytes.subarray(start, end + 1));
    });
    await new Promise((resolve) => films.listen(0, '127.0.0.1', resolve));
    await page.fill('#film', film);
    await page.click('#play');
    await it.sees('red', isRed);
    await page.fill('#film', `http://127.0.0.1:${films.address().port}/it.webm`);
    await page.click('#play');
    await it.says('play-status', /^Playing http:/);
    await it.sees('red', isRed);
    assert.equal(await pipelines(), 1, 'what was played before is released');
    await page.click('#play-stop');
    await it.says('play-status', /^Stopped/);
    films.closeAllConnections();
    films.close();
  });

  test('what cannot be played is told in words', async () => {
    fs.writeFileSync(path.join(folder, 'broken.webm'), 'this is no film'.repeat(100));
    for (const [uri, words] of [
      [path.join(folder, 'nothing.webm'), /“Invalid URI”.*such a file/],
      ['http://127.0.0.1:9/a.webm', /“Invalid URI”.*nobody answers/],
      ['nothing.webm', /“Invalid URI”.*the whole path/],
      [path.join(folder, 'broken.webm'), /“Invalid Media”.*no film/],
    ]) {
      await page.fill('#film', uri);
      await page.click('#play');
      await it.says('play-status', words);
      await until('it is over', () => page.evaluate(() => window.rivero.player.state), (state) => state === 'idle');
    }
    await page.fill('#film', '  ');
    await page.click('#play');
    await it.says('play-status', /^Write what to play/);
    assert.equal(await pipelines(), 0);
  });

  test('the camera is recorded, with a pause; the recording is in the list', async () => {
    await page.click('nav a[href="#record"]');
    await it.says('record-status', /^Ready/);
    await it.says('recordings-status', /^No recordings yet/);
    await page.click('#record');
    await it.says('record-status', /^Recording /);
    await page.waitForTimeout(1500);
    await page.click('#record-pause');
    await it.says('record-status', /^Paused/);
    const elapsed = await page.evaluate(() => window.rivero.recorder.elapsed);
    await page.waitForTimeout(1500);
    assert.equal(await page.evaluate(() => window.rivero.recorder.elapsed), elapsed, 'paused time does not count');
    assert.equal(await it.said('record-pause'), 'Resume');
    await page.click('#record-pause');
    await it.says('record-status', /^Recording /);
    await page.waitForTimeout(1500);
    await it.says('record-size', /^\d.*B$/);
    await page.click('#record-stop');
    await it.says('record-status', /^Recorded 0:0[345], .*B: .*webm is in the list/);
    const { name } = await page.evaluate(() => window.rivero.recorder);
    const row = await until('its row', () => page.$$eval('#recordings-list tr', (rows) => rows.map((r) => [r.dataset.name, ...[...r.cells].slice(1, 3).map((c) => c.textContent)])), (rows) => rows.length === 1);
    assert.deepEqual(row[0].slice(0, 1), [name]);
    assert.match(row[0][1], /^0:0[345]$/);
    assert.equal(await pipelines(), 0);
    const { format } = JSON.parse(spawnSync('ffprobe', ['-v', 'error', '-show_format', '-of', 'json', path.join(recordings, name)], { encoding: 'utf8' }).stdout);
    assert.ok(Number(format.duration) > 2.5 && Number(format.duration) < 5, `${format.duration} s of some 5 are recorded`);
    await page.screenshot({ path: path.join(artefacts, 'demo-record.png'), fullPage: true });
  });

  test('a recording is played back through the server', async () => {
    await page.click('#recordings-list tr:first-child button');
    await it.says('play-status', /^Playing 20.*webm through the server/);
    assert.equal(await page.evaluate(() => window.location.hash), '#play');
    await it.sees('the camera’s picture', isGreen);
    assert.ok(await page.evaluate(() => window.look.change('#screen', 400)) > 0.1, 'it moves');
    assert.ok(await page.evaluate(() => window.look.loudest('#screen', 5_000, 0.02)) > 0.01, 'its beeps are heard');
    await page.screenshot({ path: path.join(artefacts, 'demo-play.png'), fullPage: true });
    await it.says('play-status', /EndOfStream/);
    await page.click('#play-stop');
  });

  test('a browser shows it without the server’s help, and seeks in it', async () => {
    const { page: other, leave } = await visit(server, '#record');
    const link = other.locator('#recordings-list tr:first-child a', { hasText: 'Open' });
    const seen = await link.evaluate(async ({ href }) => {
      const video = Object.assign(document.createElement('video'), { src: href, muted: true });
      await new Promise((resolve, reject) => { video.onloadeddata = resolve; video.onerror = () => reject(new Error(video.error?.message)); });
      video.currentTime = video.duration / 2;
      await new Promise((resolve) => { video.onseeked = resolve; });
      return { duration: video.duration, width: video.videoWidth, at: video.currentTime };
    });
    assert.ok(seen.duration > 2.5 && seen.width > 0 && Math.abs(seen.at - seen.duration / 2) < 0.1, JSON.stringify(seen));
    const [download] = await Promise.all([other.waitForEvent('download'), other.click('#recordings-list tr:first-child a[download]')]);
    const { recordings: [{ name, bytes }] } = JSON.parse((await ask(server.http, '/recordings')).body);
    assert.equal(download.suggestedFilename(), name);
    assert.equal(fs.statSync(await download.path()).size, bytes);
    await leave();
  });

  test('without a camera the page says so, and records its test picture', async () => {
    const { page: other, says, leave, sees } = await visit(server, '#record');
    await other.evaluate(() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError')); });
    await says('record-status', /^Ready/);
    await other.click('#record');
    await says('record-status', /may not use your camera.*choose the test picture/);
    await other.selectOption('#record-source', 'test');
    await other.selectOption('#record-profile', 'MP4');
    await other.click('#record');
    await says('record-status', /^Recording .*mp4/);
    await other.waitForTimeout(2000);
    await other.click('#record-stop');
    await says('record-status', /^Recorded 0:0[123]/);
    const { name } = await other.evaluate(() => window.rivero.recorder);
    const { streams } = JSON.parse(spawnSync('ffprobe', ['-v', 'error', '-show_streams', '-of', 'json', path.join(recordings, name)], { encoding: 'utf8' }).stdout);
    assert.deepEqual(streams.map((s) => s.codec_name).sort(), ['aac', 'h264']);
    await other.click(`tr[data-name="${name}"] button`);
    await sees('bars of all colours', ([r, g, b]) => Math.max(r, g, b) - Math.min(r, g, b) < 40 && r > 40);
    await leave();
  });

  test('a place that cannot be written to is told', async () => {
    const { page: other, says, leave } = await visit(server, '#record');
    await says('record-status', /^Ready/);
    // The page is told of another place than the server has: one where nobody can write.
    await other.route('**/recordings', (route) => route.fulfill({ json: { uri: 'file:///proc/nothing/', recordings: [] } }));
    await Promise.all([other.waitForResponse('**/recordings'), other.click('#recordings-refresh')]);
    await other.selectOption('#record-source', 'test');
    await other.click('#record');
    await says('record-status', /“The recording fails: /);
    await until('it is over', () => other.evaluate(() => window.rivero.recorder.state), (state) => state === 'idle');
    await leave();
  });

  test('on a telephone nothing sticks out sideways, in the dark neither', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await page.emulateMedia({ colorScheme: 'dark' });
    for (const part of ['play', 'record', 'loopback']) {
      await page.click(`nav a[href="#${part}"]`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), part);
      await page.screenshot({ path: path.join(artefacts, `demo-${part}-phone.png`), fullPage: true });
    }
  });

  test('over HTTP a stranger gets recordings, in parts, and nothing else', async () => {
    const secret = path.join(folder, 'secret.webm');
    fs.writeFileSync(secret, 'secret');
    fs.writeFileSync(path.join(recordings, 'digits.webm'), '0123456789');
    fs.writeFileSync(path.join(recordings, 'notes.txt'), 'secret');
    fs.symlinkSync(secret, path.join(recordings, 'link.webm'));
    fs.symlinkSync('/', path.join(recordings, 'root.webm'));
    const list = JSON.parse((await ask(server.http, '/recordings')).body);
    assert.equal(list.uri, `file://${folder}/kept%20here/`);
    const names = list.recordings.map((r) => r.name);
    assert.ok(names.includes('digits.webm'));
    for (const name of ['notes.txt', 'link.webm', 'root.webm']) assert.ok(!names.includes(name), name);

    const encoded = encodeURIComponent(secret);
    for (const below of ['../secret.webm', '..%2fsecret.webm', '..%2Fsecret.webm', '%2e%2e%2fsecret.webm', '..%252fsecret.webm', '..%5csecret.webm', `${encoded}`, secret,
      'link.webm', 'root.webm', 'root.webm/etc/passwd', 'notes.txt', '%00.webm', 'digits.webm%00', '%ff.webm', `${'x'.repeat(9000)}.webm`, '.webm', 'none.webm']) {
      for (const method of ['GET', 'HEAD']) {
        const { status, body } = await ask(server.http, `/recordings/${below}`, { method });
        assert.equal(status, 404, `${method} ${below}`);
        assert.ok(!body.includes('secret'));
      }
    }
    for (const outside of ['/recordingsx', '/%72ecordings', '/x/../recordings']) assert.equal((await ask(server.http, outside)).status, 426, outside);

    const digits = (headers, method) => ask(server.http, '/recordings/digits.webm', { headers, method });
    const whole = await digits();
    assert.deepEqual([whole.status, String(whole.body), whole.headers['accept-ranges'], whole.headers['content-type'], whole.headers['x-content-type-options']],
      [200, '0123456789', 'bytes', 'video/webm', 'nosniff']);
    const head = await digits({}, 'HEAD');
    assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '10', 0]);
    for (const [range, status, text, said] of [
      ['bytes=2-4', 206, '234', 'bytes 2-4/10'], ['bytes=7-', 206, '789', 'bytes 7-9/10'], ['bytes=-1', 206, '9', 'bytes 9-9/10'],
      ['bytes=10-', 416, '', 'bytes */10'], ['bytes=4-2', 416, '', 'bytes */10'], ['bytes=x', 416, '', 'bytes */10'],
      ['bytes=18446744073709551616-', 416, '', 'bytes */10'], ['bytes=0-0,2-2', 200, '0123456789', undefined],
    ]) {
      const part = await digits({ range });
      assert.deepEqual([part.status, String(part.body), part.headers['content-range']], [status, text, said], range);
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) assert.equal((await digits({}, method)).status, 405, method);
    assert.ok(fs.existsSync(path.join(recordings, 'digits.webm')));
    assert.equal((await ask(server.http, '/')).status, 200, 'the server is as well as before');
  });
});

test('a camera on the network is shown, and when it breaks off, that is told until it is back', { timeout: 90_000 }, async (t) => {
  const camera = async (port) => {
    const it = run('/usr/bin/python3', [path.join(root, 'tests/node/rtsp-server.py'), String(port), 'tcp']);
    t.after(() => it.stop('SIGKILL'));
    await until('the camera', () => it.log(), (log) => log.includes('ready'), 15_000);
    return it;
  };
  const port = await freePort();
  const [server, first] = await Promise.all([startServer(), camera(port)]);
  const { page, says, sees, leave } = await visit(server, '#play');
  await says('play-status', /^Ready/);
  await page.fill('#film', `rtsp://127.0.0.1:${port}/h264`);
  await page.click('#play');
  await sees('red', isRed);
  await says('play-status', /^Playing rtsp:/);
  assert.ok(await page.isDisabled('#seek'), 'what is live has no place to go to');
  await says('play-time', /^0:\d\d$/);
  await first.stop('SIGKILL');
  await says('play-status', /broke off/);
  const frames = () => page.evaluate(() => document.getElementById('screen').getVideoPlaybackQuality().totalVideoFrames);
  const before = await frames();
  await camera(port);
  await says('play-status', /^Playing rtsp:/, 30_000);
  await until('it moves again', frames, (now) => now > before + 20);
  await sees('red again', isRed);
  await page.click('#play-stop');
  await says('play-status', /^Stopped/);
  await leave();
  await server.stop();
});

test('the page tells when the server is gone in the midst of a film and of a recording', { timeout: 60_000 }, async () => {
  const demo = { recordings: path.join(folder, 'short-lived') };
  const first = await startServer({ demo });
  const { page, says, sees, leave } = await visit(first, '#play');
  await says('play-status', /^Ready/);
  await page.fill('#film', film);
  await page.click('#play');
  await sees('red', isRed);
  await page.click('nav a[href="#record"]');
  await page.click('#record');
  await says('record-status', /^Recording /);
  const name = await page.evaluate(() => window.rivero.recorder.name);
  await until('some of it is written', () => fs.statSync(path.join(demo.recordings, name)).size, (bytes) => bytes > 1000);
  await first.kill();
  for (const id of ['play-status', 'record-status']) await says(id, /does not answer/);
  await says('recordings-status', /does not answer/);
  assert.ok(await page.isDisabled('#play') && await page.isDisabled('#record'));
  const second = await startServer({ demo, port: first.port });
  await says('play-status', /started again/);
  await says('record-status', /started again/);
  await until('what was recorded', () => page.$$eval('#recordings-list tr', (rows) => rows.map((r) => r.dataset.name)), (names) => names.includes(name));
  await until('both can begin anew', async () => await page.isEnabled('#play') && await page.isEnabled('#record'), Boolean);
  await leave();
  await second.stop();
});

test('a configured server without a directory of recordings has none, and the page says why', { timeout: 60_000 }, async () => {
  const server = await startServer();
  assert.equal((await ask(server.http, '/recordings')).status, 426, 'as any path that is no page');
  const { page, says, leave } = await visit(server, '#record');
  await says('recordings-status', /mediaServer\.demo\.recordings/);
  await says('record-status', /is off/);
  assert.ok(await page.isDisabled('#record'));
  await leave();
  await server.stop();
});

/** What keeps a server from running here without a configuration file on port 8888. */
const occupied = fs.existsSync('/etc/kurento/kurento.conf.json') ? 'this machine has a configuration of its own' : whyNoNamespace();

test('without any configuration, recordings are the user’s own and for this machine alone', { timeout: 60_000, skip: occupied }, async () => {
  const home = path.join(folder, 'home');
  fs.mkdirSync(home);
  const namespace = makeNamespace();
  try {
    const env = { ...process.env, HOME: home, GST_DEBUG_NO_COLOR: '1' };
    delete env.XDG_DATA_HOME;
    const server = namespace.spawn(binary(), [], { env });
    await new Promise((resolve, reject) => {
      let log = '';
      const hear = (data) => {
        log += data;
        if (log.includes('Kurento Media Server started')) resolve();
      };
      server.stdout.on('data', hear);
      server.stderr.on('data', hear);
      server.ended.then(() => reject(new Error(log)));
    });
    const fetched = async (url) => {
      const script = `const a = await fetch(${JSON.stringify(url)}); console.log(JSON.stringify([a.status, await a.json()]))`;
      const child = namespace.spawn(process.execPath, ['--input-type=module', '-e', script]);
      let out = '';
      child.stdout.on('data', (data) => { out += data; });
      await child.ended;
      return JSON.parse(out);
    };
    const kept = path.join(home, '.local/share/rivero/recordings');
    assert.deepEqual(await fetched('http://127.0.0.1:8888/recordings'), [200, { uri: `file://${kept}/`, recordings: [] }]);
    assert.equal(fs.statSync(kept).mode & 0o777, 0o700);
    const [status, { error }] = await fetched(`http://${namespace.address}:8888/recordings`);
    assert.equal(status, 403);
    assert.match(error, /own machine only/);
  } finally {
    await namespace.end();
  }
});
