// What Chromium sends is recorded: every profile is read by ffprobe and shown by Chromium itself, and a recording that the server
// did not live to complete plays too.
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

const RED = { colour: 'rgb(200, 20, 20)', hertz: 440 };
/** The profile, what Chromium sends, what the file must hold, and whether that took a coder. */
const PROFILES = [
  ['WEBM', { video: 'VP8', audio: 'opus' }, ['opus', 'vp8'], false],
  ['WEBM', { video: 'VP9', audio: 'opus' }, ['opus', 'vp9'], false],
  ['WEBM', { video: 'H264', audio: 'PCMU' }, ['opus', 'vp8'], true],
  ['WEBM_VIDEO_ONLY', { video: 'VP8', audio: 'opus' }, ['vp8'], false],
  ['WEBM_AUDIO_ONLY', { video: 'VP8', audio: 'opus' }, ['opus'], false],
  ['MP4', { video: 'H264', audio: 'opus' }, ['aac', 'h264'], true],
  ['MP4_VIDEO_ONLY', { video: 'H264', audio: 'opus' }, ['h264'], false],
  ['MP4_AUDIO_ONLY', { video: 'VP8', audio: 'opus' }, ['aac'], true],
  ['MKV', { video: 'VP8', audio: 'opus' }, ['opus', 'vp8'], false],
  ['MKV_VIDEO_ONLY', { video: 'H264', audio: 'opus' }, ['h264'], false],
  ['MKV_AUDIO_ONLY', { video: 'H264', audio: 'opus' }, ['opus'], false],
  ['FLV', { video: 'VP8', audio: 'opus' }, ['aac', 'h264'], true],
];
const WORDS = ['UriEndpointStateChanged', 'Recording', 'Paused', 'Stopped', 'Error'];

describe('RecorderEndpoint', { timeout: 240_000 }, () => {
  let browser, server, site, rpc, folder;
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-recordings-'));
    [browser, server, site] = await Promise.all([launch(), startServer(), serveTestPage()]);
    rpc = await Rpc.open(server.url);
  });
  after(async () => {
    rpc?.close();
    await browser?.close();
    await site?.close();
    await server?.stop();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  /** Someone who sends, and a recorder of it. */
  async function stage(file, mediaProfile, codecs, at = rpc, uri = `file://${file}`) {
    const pipeline = await at.create('MediaPipeline');
    const publisher = await at.create('WebRtcEndpoint', { mediaPipeline: pipeline });
    const recorder = await at.create('RecorderEndpoint', { mediaPipeline: pipeline, uri, mediaProfile });
    const told = [];
    for (const event of WORDS) {
      await at.subscribe(recorder, event);
      at.on(recorder, event, (data) => told.push(data.state ?? event));
    }
    await at.invoke(publisher, 'connect', { sink: recorder });
    const page = await newPage(browser);
    await page.addInitScript(LOOK);
    await page.addInitScript(CALLS);
    await page.goto(site.url);
    const call = await join(page, at, publisher, 'sender', { receive: false, perform: RED, codecs });
    await until('a connection', call.figures, (f) => f.state === 'connected');
    return { pipeline, publisher, recorder, told, page };
  }

  const probe = (file) => JSON.parse(spawnSync('ffprobe', ['-v', 'error', '-count_frames', '-show_format', '-show_streams', '-of', 'json', file], { encoding: 'utf8', timeout: 20_000 }).stdout);
  /** What ffmpeg complains of in a file. That it wants frames further apart than a browser sends them is its own affair. */
  function decodes(file) {
    const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-f', 'null', '-'], { encoding: 'utf8', timeout: 20_000 });
    return { status, complaints: stderr.split('\n').filter((line) => line && !line.includes('non monotonically increasing dts')) };
  }

  /** What Chromium makes of a file. */
  async function shown(file) {
    const page = await newPage(browser);
    await page.goto(site.url);
    const type = { '.webm': 'video/webm', '.mp4': 'video/mp4', '.mkv': 'video/x-matroska' }[path.extname(file)];
    const seen = await page.evaluate(async ([data, kind]) => {
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      const video = Object.assign(document.createElement('video'), { src: URL.createObjectURL(new Blob([bytes], { type: kind })), muted: true });
      await new Promise((resolve, reject) => { video.onloadeddata = resolve; video.onerror = () => reject(new Error(video.error?.message)); });
      const { duration, videoWidth } = video;
      video.currentTime = duration / 2;
      await new Promise((resolve) => { video.onseeked = resolve; });
      return { duration, videoWidth, at: video.currentTime };
    }, [fs.readFileSync(file).toString('base64'), type]);
    await page.context().close();
    return seen;
  }

  for (const [mediaProfile, codecs, streams, coded] of PROFILES) {
    test(`${mediaProfile} of ${codecs.video} and ${codecs.audio}`, async () => {
      const file = path.join(folder, `deep/${mediaProfile}-${codecs.video}.${mediaProfile.split('_')[0].toLowerCase()}`);
      const it = await stage(file, mediaProfile, codecs);
      await rpc.invoke(it.recorder, 'record');
      await until('it records', () => it.told, (told) => told.includes('Recording'));
      await new Promise((resolve) => setTimeout(resolve, 2500));
      const transcodes = await Promise.all(['AUDIO', 'VIDEO'].map((mediaType) => rpc.invoke(it.publisher, 'isMediaTranscoding', { mediaType })));
      await rpc.invoke(it.recorder, 'stopAndWait');
      await until('the last word', () => it.told, (told) => told.includes('Stopped'));
      assert.deepEqual(it.told, ['START', 'Recording', 'STOP', 'Stopped']);
      const { format, streams: found } = probe(file);
      assert.deepEqual(found.map((s) => s.codec_name).sort(), streams);
      assert.ok(Math.abs(Number(format.duration) - 2.6) < 0.8, `${format.duration} s`);
      // A browser under load paints some fifteen pictures a second.
      for (const stream of found) assert.ok(Number(stream.nb_read_frames) > 25, `${stream.codec_name}: ${stream.nb_read_frames} frames`);
      const starts = found.map((s) => Number(s.start_time));
      // Pictures that are coded anew begin once their encoder does.
      assert.ok(Math.max(...starts) - Math.min(...starts) < (coded ? 0.4 : 0.15), `the tracks begin together: ${starts}`);
      assert.deepEqual(decodes(file), { status: 0, complaints: [] }, 'every frame decodes');
      assert.equal(transcodes.includes(true), coded, 'media is only coded anew where it must be');
      if (!mediaProfile.startsWith('FLV') && !mediaProfile.startsWith('MKV')) {
        const seen = await shown(file);
        assert.ok(Math.abs(seen.duration - Number(format.duration)) < 0.3 && Math.abs(seen.at - seen.duration / 2) < 0.1, JSON.stringify(seen));
      }
      await it.page.context().close();
      await rpc.release(it.pipeline);
    });
  }

  test('gaps are cut out where the configuration says so', async () => {
    const file = path.join(folder, 'gaps.webm');
    const closing = await startServer({ modules: { 'RecorderEndpoint.conf.ini': 'gapsFix=GENPTS\n' } });
    const at = await Rpc.open(closing.url);
    try {
      const it = await stage(file, 'WEBM', { video: 'VP8', audio: 'opus' }, at);
      await at.invoke(it.recorder, 'record');
      await until('it records', () => it.told, (told) => told.includes('Recording'));
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await at.invoke(it.publisher, 'disconnect', { sink: it.recorder });
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await at.invoke(it.publisher, 'connect', { sink: it.recorder });
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await at.invoke(it.recorder, 'stopAndWait');
      const { format, streams } = probe(file);
      assert.deepEqual(streams.map((s) => s.codec_name).sort(), ['opus', 'vp8']);
      assert.ok(Math.abs(Number(format.duration) - 3) < 0.8, `${format.duration} s of 6, of which 3 are a gap`);
      assert.deepEqual(decodes(file), { status: 0, complaints: [] });
      await it.page.context().close();
    } finally {
      at.close();
      await closing.stop();
    }
  });

  test('paused time is cut out', async () => {
    const file = path.join(folder, 'paused.webm');
    const it = await stage(file, 'WEBM', { video: 'VP8', audio: 'opus' });
    for (let round = 1; round <= 3; round += 1) {
      await rpc.invoke(it.recorder, 'record');
      await until('it records', () => it.told, (told) => told.filter((t) => t === 'Recording').length === round);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await rpc.invoke(it.recorder, 'pause');
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
    await rpc.invoke(it.recorder, 'stopAndWait');
    await until('the last word', () => it.told, (told) => told.includes('Stopped'));
    assert.deepEqual(it.told, [...Array(3).fill(['START', 'Recording', 'PAUSE', 'Paused']).flat(), 'STOP', 'Stopped']);
    const { format } = probe(file);
    assert.ok(Number(format.duration) > 2.5 && Number(format.duration) < 5, `${format.duration} s of 7.5 are recorded`);
    assert.deepEqual(decodes(file).complaints, []);
    await rpc.release(it.pipeline);
  });

  for (const extension of ['webm', 'mp4']) {
    test(`what a killed server leaves of a ${extension} plays`, async () => {
      const other = await startServer();
      const at = await Rpc.open(other.url);
      const file = path.join(folder, `killed.${extension}`);
      const it = await stage(file, extension.toUpperCase(), { video: extension === 'webm' ? 'VP8' : 'H264', audio: 'opus' }, at);
      await at.invoke(it.recorder, 'record');
      await until('it records', () => it.told, (told) => told.includes('Recording'));
      const began = Date.now();
      await new Promise((resolve) => setTimeout(resolve, 4000));
      await other.kill();
      const seconds = (Date.now() - began) / 1000;
      const { stdout } = spawnSync('ffprobe', ['-v', 'error', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', file], { encoding: 'utf8' });
      const last = Math.max(...stdout.split('\n').filter(Boolean).map(Number));
      assert.ok(last > seconds - 1, `${last} s of ${seconds} s are there`);
      await it.page.context().close();
    });
  }

  test('a place that cannot be written to is told, and the pipeline goes on', async () => {
    const it = await stage('/proc/nothing/here.webm', 'WEBM', { video: 'VP8', audio: 'opus' });
    await rpc.invoke(it.recorder, 'record');
    await until('an error', () => it.told, (told) => told.includes('Error'));
    await rpc.invoke(it.recorder, 'stopAndWait');
    await rpc.release(it.pipeline);
  });

  test('to a server that is away for some seconds', async () => {
    const uploads = [];
    let away = false;
    const sockets = new Set();
    const store = http.createServer((request, response) => {
      if (away) return request.socket.destroy();
      const upload = { method: request.method, user: request.headers.authorization, bytes: [], whole: false };
      uploads.push(upload);
      request.on('data', (data) => upload.bytes.push(data)).on('error', () => {});
      request.on('end', () => { upload.whole = true; response.writeHead(201).end(); });
    });
    store.on('connection', (socket) => { sockets.add(socket); socket.on('close', () => sockets.delete(socket)); });
    await new Promise((resolve) => store.listen(0, '127.0.0.1', resolve));
    const it = await stage(null, 'WEBM', { video: 'VP8', audio: 'opus' }, rpc, `http://me:secret@127.0.0.1:${store.address().port}/a.webm`);
    await rpc.invoke(it.recorder, 'record');
    await until('an upload', () => uploads.length && uploads[0].bytes.length, (pieces) => pieces > 2, 10_000);
    away = true;
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    away = false;
    await until('another', () => uploads.length, (count) => count === 2, 15_000);
    await rpc.invoke(it.recorder, 'stop');
    await until('the end', () => it.told, (told) => told.includes('Stopped'), 15_000);
    assert.ok(!it.told.includes('Error'), it.told.join());
    assert.deepEqual(uploads.map((u) => [u.method, u.user, u.whole]), [false, true].map((whole) => ['PUT', `Basic ${btoa('me:secret')}`, whole]));
    const file = path.join(folder, 'uploaded.webm');
    fs.writeFileSync(file, Buffer.concat(uploads[1].bytes));
    assert.deepEqual(decodes(file), { status: 0, complaints: [] });
    const frames = probe(file).streams.map((s) => Number(s.nb_read_frames));
    assert.ok(frames.every((n) => n > 50), `all of it: ${frames}`);
    await rpc.release(it.pipeline);
    await it.page.context().close();
    store.closeAllConnections();
    store.close();
  });
});
