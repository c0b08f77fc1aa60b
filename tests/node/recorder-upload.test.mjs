// Recordings that go to servers: ones that ask who it is, that are slow, away, encrypted, or do not want them.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { until } from './browser.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

const WORDS = ['UriEndpointStateChanged', 'Recording', 'Stopped', 'Error'];
const openssl = spawnSync('openssl', ['version']).status === 0;

describe('recordings to servers', { timeout: 120_000 }, () => {
  let folder, spools, server, rpc;
  const stores = [];
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-uploads-'));
    spools = path.join(folder, 'spools');
    fs.mkdirSync(spools);
    const film = spawnSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=25:duration=10', '-f', 'lavfi', '-i', 'sine=sample_rate=48000:duration=10', '-ac', '2', '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '1M', '-g', '25', '-c:a', 'libopus', path.join(folder, 'film.webm')], { encoding: 'utf8' });
    assert.equal(film.status, 0, film.stderr);
    const env = { TMPDIR: spools };
    if (openssl) {
      const at = (name) => path.join(folder, name);
      const make = (name, ...more) => {
        const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', ...more, '-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)], { encoding: 'utf8' });
        assert.equal(made.status, 0, made.stderr);
      };
      const host = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE'];
      make('authority', '-subj', '/CN=authority of a test');
      make('known', ...host, '-CA', at('authority.pem'), '-CAkey', at('authority.key'));
      make('unknown', ...host);
      env.SSL_CERT_FILE = at('authority.pem');
    }
    server = await startServer({ env });
    rpc = await Rpc.open(server.url);
  });
  after(async () => {
    rpc?.close();
    await server?.stop();
    for (const store of stores) {
      store.closeAllConnections();
      store.close();
    }
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  /** A server whose answers `handle` gives; by itself it takes all. */
  async function store(handle = () => false, tls) {
    const uploads = [];
    const listener = async (request, response) => {
      if (await handle(request, response)) return;
      const upload = { request, url: request.url, authorization: request.headers.authorization, bytes: [], whole: false };
      uploads.push(upload);
      request.on('data', (data) => upload.bytes.push(data)).on('error', () => {});
      request.on('end', () => { upload.whole = true; response.writeHead(201).end(); });
    };
    const it = tls ? https.createServer(tls, listener) : http.createServer(listener);
    // Those who are told to go on are the same to us.
    it.on('checkContinue', async (request, response) => {
      if (await handle(request, response)) return;
      response.writeContinue();
      listener(request, response);
    });
    await new Promise((resolve) => it.listen(0, '127.0.0.1', resolve));
    stores.push(it);
    return { uploads, host: `${tls ? 'localhost' : '127.0.0.1'}:${it.address().port}`, it };
  }

  /** Records a film to a URI. */
  async function record(uri) {
    const pipeline = await rpc.create('MediaPipeline');
    const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri: `file://${folder}/film.webm` });
    const recorder = await rpc.create('RecorderEndpoint', { mediaPipeline: pipeline, uri, mediaProfile: 'WEBM' });
    const told = [];
    const errors = [];
    for (const event of WORDS) {
      await rpc.subscribe(recorder, event);
      rpc.on(recorder, event, (data) => {
        told.push(data.state ?? event);
        if (event === 'Error') errors.push(data);
      });
    }
    await rpc.invoke(player, 'connect', { sink: recorder });
    await rpc.invoke(recorder, 'record');
    await rpc.invoke(player, 'play');
    await until('it records', () => told, (words) => words.includes('Recording'));
    const reach = (ms) => until(`${ms} ms of film`, () => rpc.invoke(player, 'getPosition'), (at) => at >= ms);
    return { pipeline, player, recorder, told, errors, reach };
  }

  function assertPlays({ bytes }, seconds) {
    const file = path.join(folder, 'upload.webm');
    fs.writeFileSync(file, Buffer.concat(bytes));
    const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-f', 'null', '-'], { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
    const { stdout } = spawnSync('ffprobe', ['-v', 'error', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', file], { encoding: 'utf8' });
    const last = Math.max(...stdout.split('\n').filter(Boolean).map(Number));
    assert.ok(last > seconds, `${last} s are there`);
  }

  const spooled = () => fs.readdirSync(`/proc/${server.pid}/fd`).filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/${server.pid}/fd/${fd}`).startsWith(spools);
    } catch {
      return false;
    }
  }).length;

  test('a server that asks for a digest', async () => {
    const md5 = (text) => crypto.createHash('md5').update(text).digest('hex');
    const refusals = [];
    const { uploads, host } = await store((request, response) => {
      const field = (name) => request.headers.authorization?.match(new RegExp(`${name}="?([^",]*)`))?.[1];
      const expected = md5(`${md5('me:here:se cret')}:n1:${field('nc')}:${field('cnonce')}:auth:${md5(`PUT:${request.url}`)}`);
      if (field('response') === expected) return false;
      refusals.push(request.headers.authorization);
      response.writeHead(401, { 'WWW-Authenticate': 'Digest realm="here", nonce="n1", qop="auth", algorithm=MD5', Connection: 'close' }).end();
      return true;
    });
    const it = await record(`http://me:se%20cret@${host}/a.webm?b=c`);
    await it.reach(1500);
    await rpc.invoke(it.recorder, 'stopAndWait');
    assert.deepEqual(refusals.map((text) => text.split(' ')[0]), ['Basic'], 'the digest is right the first time');
    assert.deepEqual(uploads.map(({ url, whole }) => [url, whole]), [['/a.webm?b=c', true]]);
    assertPlays(uploads[0], 1);
    await rpc.release(it.pipeline);
  });

  test('a server that does not want it', async () => {
    const { uploads, host } = await store((request, response) => {
      response.writeHead(403, { Connection: 'close' }).end();
      return true;
    });
    const it = await record(`http://${host}/a.webm`);
    await until('an error', () => it.told, (told) => told.includes('Stopped'));
    assert.deepEqual(it.told, ['START', 'Recording', 'Error', 'STOP', 'Stopped']);
    assert.deepEqual([it.errors[0].type, it.errors[0].errorCode], ['RESOURCE_ERROR_WRITE', 10]);
    assert.match(it.errors[0].description, /it answers 403/);
    assert.equal(uploads.length, 0);
    const at = await rpc.invoke(it.player, 'getPosition');
    await it.reach(at + 500);
    await rpc.release(it.pipeline);
  });

  test('certificates must be known', { skip: !openssl && 'there is no openssl to make certificates with' }, async () => {
    const tls = (name) => ({ key: fs.readFileSync(path.join(folder, `${name}.key`)), cert: fs.readFileSync(path.join(folder, `${name}.pem`)) });
    const [known, unknown] = await Promise.all(['known', 'unknown'].map((name) => store(undefined, tls(name))));
    const bad = await record(`https://${unknown.host}/a.webm`);
    await until('an error', () => bad.told, (told) => told.includes('Stopped'));
    assert.equal(bad.errors[0].type, 'RESOURCE_ERROR_WRITE');
    assert.match(bad.errors[0].description, /certificate/i);
    assert.equal(unknown.uploads.length, 0);
    await rpc.release(bad.pipeline);
    const good = await record(`https://${known.host}/a.webm`);
    await good.reach(1500);
    await rpc.invoke(good.recorder, 'stopAndWait');
    await until('the last word', () => good.told, (told) => told.includes('Stopped'));
    assert.deepEqual([good.told, good.errors], [['START', 'Recording', 'STOP', 'Stopped'], []]);
    assertPlays(known.uploads[0], 1);
    await rpc.release(good.pipeline);
  });

  test('a server that reads slowly gets all of it, also when the recorder has been released', async () => {
    const { uploads, host } = await store();
    // Nothing is read of it for now.
    stores.at(-1).prependListener('checkContinue', (request) => setImmediate(() => request.pause()));
    const it = await record(`http://${host}/a.webm`);
    await until('an upload', () => uploads.length, (count) => count === 1);
    const before = server.residentKiB();
    await it.reach(4000);
    assert.ok(server.residentKiB() - before < 40_000, 'what waits does not wait in memory');
    assert.equal(spooled(), 1, 'but in a file');
    assert.deepEqual(fs.readdirSync(spools), [], 'which has no name, and so is gone with the server');
    await rpc.release(it.pipeline);
    uploads[0].request.resume();
    await until('the whole', () => uploads[0].whole, Boolean);
    assertPlays(uploads[0], 3);
    await until('no file', spooled, (count) => count === 0);
  });

  test('a server that is away when the recording ends', async () => {
    let away = false;
    const { uploads, host, it: listener } = await store((request) => {
      if (away) request.socket.destroy();
      return away;
    });
    const it = await record(`http://${host}/a.webm`);
    await it.reach(1500);
    away = true;
    listener.closeAllConnections();
    const began = performance.now();
    await rpc.invoke(it.recorder, 'stopAndWait');
    const took = performance.now() - began;
    assert.ok(took > 3500 && took < 10_000, `it is answered after Kurento's four seconds, although it is not complete: ${took} ms`);
    assert.deepEqual(it.told, ['START', 'Recording'], 'and nothing else is said of it');
    away = false;
    await until('the end', () => it.told, (told) => told.includes('Stopped'), 15_000);
    assert.deepEqual(it.told, ['START', 'Recording', 'STOP', 'Stopped']);
    const { whole } = uploads.at(-1);
    assert.ok(whole);
    assertPlays(uploads.at(-1), 1);
    await rpc.release(it.pipeline);
  });
});
