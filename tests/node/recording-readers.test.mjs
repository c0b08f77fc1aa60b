// Every profile recorded from Chromium, and read by those that had no part in it: ffprobe and ffmpeg, crates in plain Rust
// (codecs/examples/describe_film.rs) and Chromium's own <video>. Pictures carry the time at which they were drawn and beeps begin with
// each second (timed-film.mjs), so that frames, durations, synchronism and seeking are held against what was really sent.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { LOOK, launch, newPage, until } from './browser.mjs';
import { CALLS, join } from './call.mjs';
import { FILMS, serveFilms } from './film-shows.mjs';
import { Rpc } from './rpc.mjs';
import { binary, startServer } from './server.mjs';
import { TIMED, complaints, keysBefore, offsets, pictures, probe, readCode, sound } from './timed-film.mjs';

/** What is sent, and which profiles are recorded of it with the codecs that the file must hold. */
const SESSIONS = [
  ['VP8', 'opus', {
    WEBM: ['vp8', 'opus'], WEBM_VIDEO_ONLY: ['vp8'], WEBM_AUDIO_ONLY: ['opus'], MKV: ['vp8', 'opus'], MKV_VIDEO_ONLY: ['vp8'], MKV_AUDIO_ONLY: ['opus'],
    MP4: ['h264', 'aac'], MP4_VIDEO_ONLY: ['h264'], MP4_AUDIO_ONLY: ['aac'], FLV: ['h264', 'aac'], JPEG_VIDEO_ONLY: ['mjpeg'],
  }],
  ['H264', 'opus', { WEBM: ['vp8', 'opus'], MKV: ['h264', 'opus'], MP4: ['h264', 'aac'], MP4_VIDEO_ONLY: ['h264'], FLV: ['h264', 'aac'] }],
  ['VP9', 'opus', { WEBM: ['vp9', 'opus'], MKV: ['vp9', 'opus'] }],
  ['AV1', 'opus', { WEBM: ['av1', 'opus'], MKV: ['av1', 'opus'] }],
];
const SECONDS = 4;
/** How far the browser's clocks may come apart meanwhile, in ms. */
const HALT = 150;
/** How far a beep may be from its picture, in ms: a picture of the source lasts 40, and its sound comes in packets of 20. */
const SYNC = 60;
/** How far two files of one session may differ in that. */
const AGREE = 30;
/** How many pictures of a film may be too coarse to be read, where the browser begins with few bits. */
const UNREAD = 3;
/** How many pictures of a session Chromium may have thrown away before key frames, while it had few bits to send. */
const FLUSHED = 15;
/** Energy of a second of what the page plays, at least, as Chromium counts it: some seconds were played without their beep otherwise. */
const ENERGY = 0.035;
/** How crates call codecs; they do not know all of those. */
const NAMES = { vp8: /VP8/, vp9: /VP9/, av1: /AV1/, h264: /AVC|h264|avc1/i, opus: /OPUS/, aac: /AAC|\?/i };
const SHOWN = ['.webm', '.mkv', '.mp4'];
const WORDS = ['UriEndpointStateChanged', 'Recording', 'Paused', 'Stopped', 'Error'];

describe('recordings and their readers', { timeout: 280_000 }, () => {
  let browser, server, site, rpc, folder, viewer;
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-readers-'));
    [browser, server, site] = await Promise.all([launch(), startServer(), serveFilms(folder)]);
    rpc = await Rpc.open(server.url);
    viewer = await newPage(browser);
    await viewer.addInitScript(FILMS);
    await viewer.addInitScript(`window.readCode = ${readCode}`);
    await viewer.goto(site.url);
  });
  after(async () => {
    rpc?.close();
    await browser?.close();
    await site?.close();
    await server?.stop();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  /** A page that sends. */
  async function stage(options) {
    const pipeline = await rpc.create('MediaPipeline');
    const publisher = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
    const page = await newPage(browser);
    for (const script of [LOOK, CALLS, TIMED]) await page.addInitScript(script);
    await page.goto(site.url);
    const call = await join(page, rpc, publisher, 'sender', { receive: false, source: 'timed', ...options });
    await until('a connection', call.figures, (f) => f.state === 'connected');
    const sent = async () => (await call.stats()).find((s) => s.type === 'outbound-rtp' && s.kind === 'video')?.framesSent ?? 0;
    const end = async () => { await page.context().close(); await rpc.release(pipeline); };
    return { pipeline, publisher, page, sent, stats: call.stats, end };
  }

  async function recorder({ pipeline, publisher }, mediaProfile, name) {
    const file = path.join(folder, `${name}-${mediaProfile}.${mediaProfile.split('_')[0].toLowerCase()}`);
    const id = await rpc.create('RecorderEndpoint', { mediaPipeline: pipeline, uri: `file://${file}`, mediaProfile });
    const told = [];
    for (const event of WORDS) {
      await rpc.subscribe(id, event);
      rpc.on(id, event, (data) => told.push(data.state ?? event));
    }
    await rpc.invoke(publisher, 'connect', { sink: id });
    return { id, file, told };
  }

  const everyone = (all, order) => Promise.all(all.map(({ id }) => rpc.invoke(id, order)));
  const all = (recorders, word) => until(word, () => recorders, (list) => list.every(({ told }) => told.includes(word)));
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  /** What the crates see: the head by one reader, frames by both or one. */
  function described(file) {
    const { status, stdout, stderr } = spawnSync(path.join(path.dirname(binary()), 'examples/describe_film'), [file], { encoding: 'utf8', timeout: 20_000 });
    assert.equal(status, 0, stderr || `no examples/describe_film beside the server: cargo build -p rivero-codecs --example describe_film`);
    return JSON.parse(stdout);
  }

  /**
   * Times in the middle between two pictures, here and there, and the codes that may be seen there: Chromium takes a picture to last as
   * long as all do on average, and where they come unevenly may show the one before.
   */
  function targets(shown) {
    const coded = shown.flatMap((p, index) => (p.code === undefined || index + 1 === shown.length ? [] : [index]));
    return [0.95, 0.3, 0.7, 0.5, 0.02].map((part) => {
      const at = Math.floor(part * coded.length);
      const index = coded[at];
      return { time: (shown[index].at + shown[index + 1].at) / 2, codes: [shown[index].code, shown[coded[Math.max(0, at - 1)]].code] };
    });
  }

  function assertDuration(who, said, { least, most, late = 0 }) {
    assert.ok(said > least - 0.05 && said < most + late + 0.05, `${who}: ${said} s, not ${least} to ${most + late}`);
  }

  async function assertShown(file, { shown, size, ...film }) {
    const sought = shown.length ? targets(shown) : [0.9, 0.2, 0.5].map((part) => ({ time: part * film.least, codes: [null] }));
    const seen = await viewer.evaluate(([src, times]) => window.films.look(src, times), [site.url + path.basename(file), sought]);
    sought.forEach(({ time, codes }, i) => assert.ok(codes.includes(seen.codes[i]), `Chromium, at ${time} s: the picture of ${seen.codes[i]} ms, not of ${codes[0]}`));
    assertDuration('Chromium', seen.duration, film);
    assert.equal(seen.seekable, seen.duration);
    if (size) assert.deepEqual([seen.videoWidth, seen.videoHeight], size);
  }

  function assertDescribed(file, codecs, { shown, counts, least, most }) {
    for (const seen of described(file)) {
      assert.equal(seen.error, undefined);
      assertDuration(seen.reader, seen.duration, { least, most });
      assert.equal(seen.tracks.length, codecs.length);
      codecs.forEach((codec, index) => {
        const track = seen.tracks[index];
        const what = `${seen.reader}: ${codec} as ${track.codec}`;
        assert.match(track.codec, NAMES[codec], what);
        if (track.duration !== null) assertDuration(what, track.duration, { least: least - 0.4, most });
        if (seen.reader === 'matroska') return;
        // Decoders begin AAC with a packet that is not heard.
        assert.ok(Math.abs(track.times.length - counts[index]) <= (codec === 'aac' ? 1 : 0), `${what}: ${track.times.length} frames of ${counts[index]}`);
        if (['opus', 'aac'].includes(codec)) return;
        // re_mp4 begins no fragment at its own time, so that a gap between two is lost.
        const apart = seen.reader === 're_mp4' ? [] : shown.map((p, i) => Math.round((track.times[i] - p.at) * 1000));
        assert.ok(apart.every((ms) => Math.abs(ms) <= 5), `${what}: pictures at their times: ${apart} ms off`);
        const keys = shown.filter((p) => p.key).map((p) => p.at);
        assert.equal(track.keys.length, keys.length, what);
        if (seen.reader === 'matroska-demuxer') {
          for (const key of keys) assert.ok(seen.cues.some((cue) => Math.abs(cue - key) < 0.002), `no way to the key frame at ${key}: ${seen.cues}`);
        }
      });
    }
  }

  for (const [video, audio, profiles] of SESSIONS) {
    describe(`${video} and ${audio}`, () => {
      const session = {};
      before(async () => {
        // A browser that had no time to play its beeps has sent nothing to measure by.
        const usable = () => session.halted <= HALT && session.energy >= ENERGY;
        for (let again = 0; again < 3 && !usable(); again += 1) await record(again);
      });

      async function record(again) {
        const it = await stage({ codecs: { video, audio } });
        const recorders = [];
        for (const profile of Object.keys(profiles)) recorders.push(await recorder(it, profile, `${video}-${again}`));
        session.sentBefore = await it.sent();
        await everyone(recorders, 'record');
        await all(recorders, 'Recording');
        const [sent, began] = [await it.sent(), Date.now()];
        // Others that begin ask for key frames: to what is recorded already these are places to seek to.
        for (let late = 0; late < SECONDS - 1; late += 1) {
          await sleep(1000);
          await everyone([await recorder(it, 'MKV_VIDEO_ONLY', `late-${late}-${video}-${again}`)], 'record');
        }
        await sleep(began + SECONDS * 1000 - Date.now());
        Object.assign(session, { seconds: (Date.now() - began) / 1000, sentMeanwhile: (await it.sent()) - sent });
        await everyone(recorders, 'stopAndWait');
        await all(recorders, 'Stopped');
        session.sentInAll = (await it.sent()) - session.sentBefore;
        session.drawn = new Set(await it.page.evaluate(() => window.drawn));
        session.halted = await it.page.evaluate(() => Math.max(...window.halts) - Math.min(...window.halts));
        const played = (await it.stats()).find((s) => s.type === 'media-source' && s.kind === 'audio');
        session.energy = played.totalAudioEnergy / played.totalSamplesDuration;
        session.films = Object.fromEntries(Object.keys(profiles).map((profile, i) => [profile, recorders[i]]));
        session.offsets = {};
        await it.end();
      }

      for (const [profile, codecs] of Object.entries(profiles)) {
        test(profile, async () => {
          const { file, told } = session.films[profile];
          assert.deepEqual(told, ['START', 'Recording', 'STOP', 'Stopped']);
          const film = readWhole(file, codecs, session.drawn);
          assertFilm(file, film, session, profile);
          assert.deepEqual(complaints(file), [], 'every frame decodes');
          const kind = path.extname(file);
          if (SHOWN.includes(kind)) {
            assertDescribed(file, codecs, film);
            await assertShown(file, { ...film, size: film.shown.length ? [320, 240] : undefined });
          } else {
            assert.equal(await viewer.evaluate((src) => window.films.refuses(src), site.url + path.basename(file)), 4, 'no source for <video>');
          }
          if (kind === '.jpeg') assert.equal(await viewer.evaluate((src) => window.films.still(src), site.url + path.basename(file)), film.shown[0].code);
          else if (film.shown.length) assertKeys(file, film, codecs[0] === video.toLowerCase() ? SECONDS - 2 : 1);
        });
      }

      test('their sound and pictures agree', () => {
        const [[first, seconds], ...others] = Object.entries(session.offsets);
        for (const [profile, list] of others) {
          for (const [second, ms] of Object.entries(list)) {
            if (second in seconds) assert.ok(Math.abs(ms - seconds[second]) <= AGREE, `second ${second}: ${ms} ms in ${profile}, ${seconds[second]} ms in ${first}`);
          }
        }
      });
    });
  }

  /** All that FFmpeg's tools read in a file: streams, pictures, sound, and when the last of them is over, in seconds. */
  function readWhole(file, codecs, drawn) {
    const { streams, format } = probe(file);
    assert.deepEqual(streams.map((s) => s.codec_name), codecs);
    const has = (type) => streams.some((s) => s.codec_type === type);
    const [shown, heard] = [has('video') ? pictures(file) : [], has('audio') ? sound(file) : undefined];
    const unread = shown.filter((p) => !drawn.has(p.code));
    assert.ok(unread.length <= UNREAD, `${unread.length} pictures are not to be read: ${unread.map((p) => p.code)}`);
    for (const picture of unread) delete picture.code;
    // How long the last picture is to be seen nobody says; the recorder takes it for as long as the one before.
    const lasts = [shown.at(-1)?.at ?? 0, (heard?.to ?? 0) + 0.02];
    const [least, most] = [Math.max(...lasts), Math.max(lasts[0] + (lasts[0] - (shown.at(-2)?.at ?? 0)), lasts[1])];
    // In films of fragments FFmpeg adds the time at which a track begins to the time at which it ends, and so does Chromium.
    const late = file.endsWith('.mp4') ? Math.max(shown[0]?.at ?? 0, heard?.from ?? 0) : 0;
    const film = { least, most, late };
    if (!file.endsWith('.jpeg')) assertDuration('ffprobe', Number(format.duration), film);
    return { ...film, counts: streams.map((s) => Number(s.nb_read_frames)), shown, heard };
  }

  function assertFilm(file, { least, shown, heard }, session, profile) {
    const { seconds, sentMeanwhile, sentInAll } = session;
    const timed = !file.endsWith('.jpeg');
    if (timed) assert.ok(least > seconds - 0.3 && least < seconds + 1.2, `${least} s of ${seconds}: pictures from ${shown[0]?.at} (${shown[0]?.code} ms) to ${shown.at(-1)?.at} (${shown.at(-1)?.code} ms), sound from ${heard?.from} to ${heard?.to}`);
    if (shown.length) {
      // The last ones may still be on their way when the recording is stopped; and what waits in Chromium's pacer when a key frame is made
      // is thrown away there.
      const flushed = shown.slice(1).reduce((sum, p, i) => sum + (p.key ? Math.max(0, Math.round((p.at - shown[i].at) / 0.04) - 1) : 0), 0);
      assert.ok(shown.length + Math.min(flushed, FLUSHED) >= sentMeanwhile - 3 && shown.length <= sentInAll + 3, `${shown.length} pictures: ${sentMeanwhile} to ${sentInAll} were sent`);
      const read = shown.filter((p) => p.code !== undefined);
      assert.ok(read.every((p, i) => i === 0 || p.code > read[i - 1].code), `pictures as they were drawn: ${read.map((p) => p.code)}`);
      const jitter = timed ? read.map((p) => Math.abs((p.at - read[0].at) * 1000 - (p.code - read[0].code))) : [0];
      assert.ok(Math.max(...jitter) < 50, `pictures at their times: ${Math.max(...jitter)} ms off`);
      assert.ok(shown[0].key);
    }
    if (heard) {
      assert.ok(heard.beeps.length >= SECONDS - 1, `${heard.beeps.length} beeps`);
      assert.ok(Math.abs(heard.lasts - (heard.to - heard.from)) < 0.05, 'no gap in the sound');
      // The first may be cut.
      const gaps = heard.beeps.slice(2).map((beep, i) => Math.round((beep - heard.beeps[i + 1]) * 1000));
      assert.ok(gaps.every((gap) => Math.abs(gap - 1000) <= 5), `a beep each second: ${gaps}`);
    }
    if (shown.length && heard) session.offsets[profile] = assertSync({ shown, heard });
  }

  /** By how many ms each second's beep is behind its picture. */
  function assertSync({ shown, heard }) {
    const apart = offsets(shown, heard.beeps.filter((beep) => beep - heard.from > 0.15));
    const codes = shown.map((p) => `${p.at.toFixed(2)}:${p.code ?? '?'}`);
    assert.ok(apart.length >= SECONDS - 2, `${apart.length} beeps with pictures: beeps at ${heard.beeps}, sound from ${heard.from}, pictures ${codes}`);
    assert.ok(apart.every(({ ms }) => Math.abs(ms) <= SYNC), `sound behind pictures by ${apart.map(({ ms }) => ms.toFixed(0))} ms`);
    return Object.fromEntries(apart.map(({ second, ms }) => [second, ms]));
  }

  /** ffprobe is led by the file's index to the key frame at or before a time. */
  function assertKeys(file, { shown }, least) {
    const keys = shown.filter((p) => p.key).map((p) => p.at);
    assert.ok(keys.length >= least, `key frames at ${keys}`);
    for (const time of [0.95, 0.5].map((part) => part * shown.at(-1).at)) {
      const landed = keysBefore(file, time);
      const wanted = keys.filter((key) => key <= time + 0.001).at(-1);
      assert.ok(landed.key && Math.abs(landed.at - wanted) < 0.005, `${time} s: lands at ${landed.at}, the key frame is at ${wanted}`);
    }
  }

  /** Records what a page sends, while something happens, with several recorders. */
  async function recorded(options, profiles, name, meanwhile) {
    const it = await stage(options);
    const recorders = [];
    for (const profile of profiles) recorders.push(await recorder(it, profile, name));
    await everyone(recorders, 'record');
    await all(recorders, 'Recording');
    await meanwhile(it.page);
    await everyone(recorders, 'stopAndWait');
    const drawn = new Set(await it.page.evaluate(() => window.drawn));
    const halted = await it.page.evaluate(() => Math.max(...window.halts) - Math.min(...window.halts));
    await it.end();
    return { files: recorders.map(({ file }) => file), drawn, halted };
  }

  for (const [video, profiles] of [['VP8', { WEBM: ['vp8', 'opus'], MP4: ['h264', 'aac'] }], ['VP9', { MKV: ['vp9', 'opus'] }], ['H264', { MP4: ['h264', 'aac'], MKV: ['h264', 'opus'] }]]) {
    test(`pictures of ${video} change in size`, async () => {
      const { files, drawn, halted } = await recorded({ codecs: { video, audio: 'opus' } }, Object.keys(profiles), `sizes-${video}`, async (page) => {
        for (const [width, height] of [[640, 480], [160, 120]]) {
          await sleep(1200);
          await page.evaluate(([w, h]) => window.sizeOf(w, h), [width, height]);
        }
        await sleep(1200);
      });
      for (const [index, codecs] of Object.values(profiles).entries()) {
        const film = readWhole(files[index], codecs, drawn);
        // Chromium may send less than it draws, while it has few bits to send.
        const sizes = film.shown.map((p) => `${p.width}x${p.height}`);
        assert.ok(sizes[0] === '320x240' && sizes.at(-1) === '160x120', [...new Set(sizes)].join());
        assert.deepEqual(complaints(files[index]), []);
        if (halted <= HALT) assertSync(film);
        await assertShown(files[index], film);
      }
    });
  }

  for (const [kind, profiles] of [
    ['audio', { WEBM: ['opus'], MKV: ['opus'], MP4: ['aac'] }],
    ['video', { WEBM: ['vp8'], MKV: ['vp8'], MP4: ['h264'] }],
  ]) {
    test(`one who sends ${kind} only`, async () => {
      const { files, drawn } = await recorded({ codecs: { video: 'VP8', audio: 'opus' }, kinds: [kind] }, Object.keys(profiles), `only-${kind}`, () => sleep(2500));
      for (const [index, codecs] of Object.values(profiles).entries()) {
        const film = readWhole(files[index], codecs, drawn);
        assert.ok(film.counts[0] > 40 && film.least > 2.3, `${film.counts} frames, ${film.least} s`);
        assert.deepEqual(complaints(files[index]), []);
        assertDescribed(files[index], codecs, film);
        await assertShown(files[index], film);
      }
    });
  }

  test('KURENTO_SPLIT_RECORDER is declined', async () => {
    const mediaPipeline = await rpc.create('MediaPipeline');
    await assert.rejects(rpc.create('RecorderEndpoint', { mediaPipeline, uri: 'file:///tmp/a', mediaProfile: 'KURENTO_SPLIT_RECORDER' }), { code: 40107 });
    await rpc.release(mediaPipeline);
  });
});
