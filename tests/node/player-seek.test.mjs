// Seeking in films whose pictures carry their numbers: what Chromium shows afterwards, picture by picture. Nothing foreign is ever
// shown, and the first picture is the one that was asked for, wherever key frames lie, whether the film is forwarded or coded anew.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { until } from './browser.mjs';
import { BITS, inTurn, numbered } from './clips.mjs';
import { cinema } from './screening.mjs';

/** With a key frame each five seconds, but for the last. The word before the dot is what the viewer is to take. */
const KINDS = {
  'VP8.webm': '-c:v libvpx -deadline realtime -cpu-used 8 -b:v 500k -g 125 -c:a libopus',
  'VP8 with hidden pictures.webm': '-c:v libvpx -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -b:v 500k -g 125 -c:a libvorbis',
  'VP9.webm': '-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k -g 125 -c:a libopus',
  'AV1.mkv': '-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 500k -g 125 -c:a libopus',
  'H264.mp4': '-c:v libx264 -profile:v baseline -g 125 -sc_threshold 0 -c:a aac',
  'H264 with B pictures.mp4': '-c:v libx264 -bf 3 -g 125 -sc_threshold 0 -c:a aac',
  'H264 with B pictures.ts': '-c:v libx264 -bf 3 -g 125 -sc_threshold 0 -c:a aac',
  'H265 with open groups.mkv': '-c:v libx265 -preset superfast -x265-params log-level=none:keyint=125:open-gop=1:scenecut=0 -c:a aac',
  'MPEG-2.mpg': '-c:v mpeg2video -bf 2 -g 125 -sc_threshold 1000000000 -b:v 2M -c:a mp2',
  'MPEG-4.avi': '-c:v mpeg4 -bf 0 -g 125 -sc_threshold 1000000000 -b:v 1M -c:a libmp3lame',
  'Theora.ogv': '-c:v libtheora -q:v 8 -g 125 -c:a libvorbis',
  'one key frame.flv': '-c:v libx264 -bf 0 -g 1000 -keyint_min 1000 -sc_threshold 0 -c:a aac',
};
const SDP = {
  numAudioMedias: 1, numVideoMedias: 1, audioCodecs: [{ name: 'opus/48000/2' }],
  videoCodecs: ['VP8/90000', 'VP9/90000', 'H264/90000', 'AV1/90000'].map((name) => ({ name })),
};
/** Milliseconds: amidst two key frames, back, on a key frame, just before one, near the end, at the beginning. */
const PLACES = [7300, 1220, 5000, 4980, 8800, 0];
const MS = 40;

describe('seeking', { timeout: 240_000 }, () => {
  let it, folder, clips;
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-seek-'));
    [it, clips] = await Promise.all([cinema({ modules: { 'SdpEndpoint.conf.json': JSON.stringify(SDP) } }), numbered(folder, KINDS)]);
  });
  after(async () => {
    await it?.close();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  /** A player of a clip, whose viewer takes the coding that the clip is named after, or VP8. */
  async function seat(clip) {
    const video = clip.name.match(/^(VP9|AV1|H264)/)?.[1] ?? 'VP8';
    const seat = await it.seat(`file://${clip.path}`, { join: { codecs: { video } }, watch: { bits: BITS } });
    return { ...seat, tell: (operation, params) => it.rpc.invoke(seat.player, operation, params) };
  }

  /** Pictures that were shown since, once so many are known. */
  const shown = (film, since, count) => until('pictures', () => film.numbers(since), (numbers) => numbers.length >= count, 15_000);

  /** Seeks, and tells what is wrong with what was shown then. */
  async function seek(film, to, wanted) {
    const before = (await film.numbers()).length;
    const last = (await film.numbers()).at(-1);
    await film.tell('setPosition', { position: to });
    // What was on its way is still shown.
    const isOld = (number) => number !== null && number >= last && number < last + 25 && Math.abs(number - wanted) > 1;
    const numbers = await until(`what follows ${to} ms`, () => film.numbers(before), (all) => all.filter((n) => !isOld(n)).length >= 8, 15_000);
    const fresh = numbers.slice(numbers.findIndex((n) => !isOld(n)));
    const foreign = fresh.filter((n, i) => n === null || n < wanted - 1 || n > wanted + 60 || (i > 0 && fresh[i - 1] > n));
    const trouble = [];
    if (Math.abs(fresh[0] - wanted) > 1) trouble.push(`the first picture is ${fresh[0]}`);
    if (foreign.length) trouble.push(`foreign pictures ${foreign}`);
    return trouble.length ? [`to ${to} ms (picture ${wanted}): ${trouble.join(', ')}; shown were ${numbers}`] : [];
  }

  test('amidst a film, the first picture is the one that was sought', async () => {
    async function troubles(clip) {
      const wrong = [];
      const film = await seat(clip);
      await film.tell('play');
      await shown(film, 0, 10);
      for (const to of PLACES) for (const trouble of await seek(film, to, Math.floor(to / MS))) wrong.push(`${clip.name} ${trouble}`);
      assert.deepEqual(film.errors, [], clip.name);
      await film.end();
      return wrong;
    }
    const doubtful = [];
    await inTurn(clips, 4, async (clip) => {
      const said = await troubles(clip);
      if (said.length) doubtful.push({ clip, said });
    });
    // A browser that had no time leaves pictures out; what is wrong alone, too, is wrong.
    assert.ok(doubtful.length <= 2, JSON.stringify(doubtful));
    for (const { clip, said } of doubtful) {
      console.log(`# once more, alone: ${said.join('; ')}`);
      assert.deepEqual(await troubles(clip), []);
    }
  });

  test('a paused film keeps its picture, shows what is sought, and goes on from there', async () => {
    const wrong = [];
    await inTurn(clips, 4, async (clip) => {
      const film = await seat(clip);
      await film.tell('play');
      await shown(film, 0, 10);
      await film.tell('pause');
      // What was on its way.
      const still = await until('a still', async () => {
        const before = (await film.numbers()).length;
        await new Promise((resolve) => setTimeout(resolve, 300));
        return { before, now: await film.numbers() };
      }, ({ before, now }) => before === now.length);
      let count = still.now.length;
      for (const to of [8100, 620]) {
        const wanted = Math.floor(to / MS);
        await film.tell('setPosition', { position: to });
        const [number, ...more] = await shown(film, count, 1);
        if (Math.abs(number - wanted) > 1 || more.length) wrong.push(`${clip.name}, paused, to ${to} ms: shown were ${[number, ...more]}`);
        assert.equal(await film.tell('getPosition'), to);
        count += 1 + more.length;
      }
      await film.tell('play');
      const numbers = await shown(film, count, 10);
      if (numbers[0] < 15 || numbers[0] > 25 || numbers.some((n, i) => n === null || n <= numbers[i - 1])) wrong.push(`${clip.name}, going on: ${numbers}`);
      await film.end();
    });
    assert.deepEqual(wrong, []);
  });

  test('a film that was sought plays to its end', async () => {
    await inTurn(clips, 4, async (clip) => {
      const film = await seat(clip);
      const ended = film.ended(15_000);
      await film.tell('play');
      await shown(film, 0, 5);
      await film.tell('setPosition', { position: 8500 });
      await ended;
      const numbers = await film.numbers();
      assert.ok(numbers.at(-1) >= 240, `${clip.name} ends with ${numbers.slice(-8)}`);
      await film.end();
    });
  });

  test('places that are none', async () => {
    const film = await seat(clips[0]);
    await assert.rejects(film.tell('setPosition', { position: 1000 }), { code: 40700 }, 'nothing is open');
    await film.tell('play');
    await shown(film, 0, 5);
    for (const position of [10_600, -1, Number.MAX_SAFE_INTEGER]) await assert.rejects(film.tell('setPosition', { position }), { code: 40700 });
    await film.tell('setPosition', { position: 5000 });
    await film.end();
  });
});
