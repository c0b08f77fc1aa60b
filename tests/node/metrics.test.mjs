// What a monitoring system reads: films that are played, recorded in another format and that fail are counted where they belong.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { until } from './browser.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

describe('metrics', { timeout: 60_000 }, () => {
  let server, rpc, folder;
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-metrics-'));
    const film = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=s=160x120:r=15:d=2', '-f', 'lavfi', '-i', 'sine=440:d=2', '-c:v', 'libvpx', '-c:a', 'libopus', path.join(folder, 'film.webm')];
    assert.equal(spawnSync('ffmpeg', film, { stdio: 'inherit', timeout: 60_000 }).status, 0, 'ffmpeg makes a film');
    server = await startServer();
    rpc = await Rpc.open(server.url);
  });
  after(async () => {
    await rpc?.close();
    await server?.stop();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  /** { 'name{labels}': value }; every line must be of the format. */
  async function metrics() {
    const answer = await fetch(new URL('/metrics', server.url.replace(/^ws/, 'http')));
    assert.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
    const lines = (await answer.text()).trimEnd().split('\n').filter((line) => !/^# (HELP|TYPE) rivero_\w+ ./.test(line));
    return Object.fromEntries(lines.map((line) => {
      const found = line.match(/^(rivero_\w+(?:\{(?:\w+="[^"\\]*",?)+\})?) (\d+(?:\.\d+)?)$/);
      assert.ok(found, `'${line}' is a metric`);
      return [found[1], Number(found[2])];
    }));
  }

  test('a film is played and recorded in another format', async () => {
    const before = await metrics();
    assert.equal(before['rivero_recordings_total{outcome="complete"}'], 0);
    const pipeline = await rpc.create('MediaPipeline');
    const file = path.join(folder, 'again.mp4');
    const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri: `file://${folder}/film.webm` });
    const recorder = await rpc.create('RecorderEndpoint', { mediaPipeline: pipeline, uri: `file://${file}`, mediaProfile: 'MP4' });
    const ends = rpc.waitFor(player, 'EndOfStream');
    await rpc.subscribe(player, 'EndOfStream');
    await rpc.invoke(player, 'connect', { sink: recorder });
    await rpc.invoke(recorder, 'record');
    await rpc.invoke(player, 'play');
    const during = await metrics();
    for (const name of ['MediaPipeline', 'PlayerEndpoint', 'RecorderEndpoint']) assert.equal(during[`rivero_objects{class="${name}"}`], 1, name);
    await ends;
    const encoders = Object.entries(await metrics()).filter(([name]) => /^rivero_converters\{.*to="(H264|MPEG4-GENERIC)"\}/.test(name));
    assert.deepEqual(encoders.map(([, count]) => count), [1, 1], 'H.264 and AAC are made');
    await rpc.invoke(recorder, 'stopAndWait');
    const probed = spawnSync('ffprobe', ['-v', 'error', '-count_frames', '-show_entries', 'stream=codec_name,nb_read_frames', '-of', 'csv=p=0', file], { encoding: 'utf8' }).stdout.trim().split('\n').map((line) => line.split(','));
    assert.deepEqual(probed.map(([codec]) => codec), ['h264', 'aac']);
    // The first pictures are on their way before their encoder is.
    assert.ok(Number(probed[0][1]) >= 25 && Number(probed[1][1]) >= 80, `${probed}`);
    const ended = await until('the recording is counted', metrics, (m) => m['rivero_recordings_total{outcome="complete"}'] === 1);
    assert.equal(ended['rivero_films_played_total{outcome="end"}'], 1);
    assert.ok(ended.rivero_recorded_bytes_total >= fs.statSync(file).size);
    assert.equal(ended['rivero_recordings_total{outcome="error"}'], 0);
    assert.equal(ended['rivero_spooled_bytes{of="recordings"}'], 0);
    await rpc.release(pipeline);
  });

  test('what fails is counted as that', async () => {
    const pipeline = await rpc.create('MediaPipeline');
    const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri: `file://${folder}/nothing.webm` });
    await rpc.invoke(player, 'play');
    await until('the failure is counted', metrics, (m) => m['rivero_films_played_total{outcome="error"}'] === 1);
    const film = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri: `file://${folder}/film.webm` });
    const recorder = await rpc.create('RecorderEndpoint', { mediaPipeline: pipeline, uri: 'file:///proc/no/such/place.webm' });
    await rpc.invoke(film, 'connect', { sink: recorder });
    await rpc.invoke(recorder, 'record');
    await rpc.invoke(film, 'play');
    await until('the failure is counted', metrics, (m) => m['rivero_recordings_total{outcome="error"}'] === 1);
    await rpc.release(pipeline);
    const left = await metrics();
    assert.equal(left['rivero_objects{class="PlayerEndpoint"}'], undefined);
    for (const [name, count] of Object.entries(left)) if (name.startsWith('rivero_converters{')) assert.equal(count, 0, name);
  });
});
