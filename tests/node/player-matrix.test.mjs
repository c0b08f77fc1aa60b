// Whatever ffmpeg writes plays into Chromium to its end: containers by codecs, odd formats, sizes, rates and times; and the clips
// of a folder beside the project, where there is one. What counts is what a person sees and hears: the colours of every picture and
// the tone.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { artefacts } from './browser.mjs';
import { matrix, oddities, wrongByFfmpeg } from './clips.mjs';
import { cinema, complaints } from './screening.mjs';
import { root } from './server.mjs';

/** Films at a time: as many as two cores decode, encode and show. */
const AT_ONCE = 12;
const MEDIA = process.env.RIVERO_MEDIA ?? path.join(root, '../shared/media');

describe('every film plays', { timeout: 600_000 }, () => {
  let it, folder;
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-matrix-'));
    it = await cinema();
  });
  after(async () => {
    await it?.close();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  /** Plays all; what is wrong with any is wrong with the server, unless ffmpeg makes no more of what it wrote. */
  async function playAll({ clips, refused }, least) {
    const doubtful = [], wrong = [], unreadable = [];
    await it.watchAll(clips, AT_ONCE, async (clip) => {
      const said = complaints(clip, await it.watch(`file://${clip.path}`));
      if (!said.length) return;
      const reference = await wrongByFfmpeg(clip);
      if (reference) unreadable.push(`${clip.name}: ${reference}`);
      else doubtful.push({ clip, said });
    });
    // A machine that had no time for so many at once is no fault of the server; what is wrong alone, too, is.
    for (const { clip, said } of doubtful) {
      console.log(`# once more, alone: ${clip.name}: ${said.join('; ')}`);
      await it.watchAll([clip], 1, async () => {
        const again = complaints(clip, await it.watch(`file://${clip.path}`));
        if (again.length) wrong.push(`${clip.name}: ${again.join('; ')}`);
      });
    }
    assert.ok(doubtful.length <= clips.length / 50, `${doubtful.length} clips only play alone`);
    const played = clips.length - unreadable.length;
    console.log(`# ${played} clips play; ${refused} pairs are refused by ffmpeg's muxers, ${unreadable.length} it does not read itself: ${unreadable.join(', ')}`);
    assert.deepEqual(wrong, []);
    assert.ok(played >= least, `only ${played} clips`);
  }

  test('containers by codecs', async () => playAll(await matrix(folder), 200));

  test('odd formats, sizes, rates, channels, times and tracks', async () => playAll(await oddities(folder), 120));

  const films = fs.existsSync(MEDIA) ? fs.readdirSync(MEDIA).filter((name) => /\.(webm|mp4|mkv|ogv|avi|mov)$/.test(name)) : [];
  test('clips of others', { skip: films.length ? false : `no clips at ${MEDIA}` }, async () => {
    const report = [];
    await it.watchAll(films, 3, async (name) => {
      const file = path.join(MEDIA, name);
      const probed = spawnSync('ffprobe', ['-v', 'error', '-show_entries', 'format=duration:stream=codec_type', '-of', 'json', file], { encoding: 'utf8' });
      const { format, streams } = JSON.parse(probed.stdout);
      const kinds = streams.map((stream) => stream.codec_type);
      const seconds = Number(format.duration);
      const film = await it.seat(`file://${file}`);
      const ended = film.ended((seconds + 15) * 1000);
      const began = Date.now();
      await it.rpc.invoke(film.player, 'play');
      await new Promise((resolve) => setTimeout(resolve, seconds * 500));
      await it.page.locator(`#remote_${film.name}`).screenshot({ path: path.join(artefacts, `film-${name}.png`) });
      await ended;
      const took = (Date.now() - began) / 1000;
      const { pictures, figures, sizes } = await film.seen();
      await film.end();
      assert.deepEqual(film.errors, [], name);
      assert.ok(took > seconds - 0.5 && took < seconds + 5, `${name}: ${seconds} s took ${took} s`);
      if (kinds.includes('video')) assert.ok(pictures > seconds * 5, `${name}: ${pictures} pictures`);
      if (kinds.includes('audio')) assert.ok(figures.audioPackets > seconds * 25, `${name}: ${figures.audioPackets} packets of sound`);
      report.push(`${name}: ${figures.decoded} pictures decoded, ${pictures} shown, ${figures.dropped} dropped, ${figures.freezes} freezes, ${JSON.stringify(sizes)}`);
    });
    console.log(`# ${report.join('\n# ')}`);
  });
});
