// Recordings on disks that are full, that hang, and that are forbidden: each costs itself and nothing beside it.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { until } from './browser.mjs';
import { Rpc } from './rpc.mjs';
import { rtpOffer } from './rtp-peers.mjs';
import { startServer } from './server.mjs';

const SMALL_KB = 1024;
/** Seconds of film; each is larger than the small disk has room for. */
const LENGTH = 12;
const FILMS = {
  WEBM: { file: 'film.webm', args: ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '2M', '-minrate', '2M', '-g', '25', '-c:a', 'libopus'] },
  MP4: { file: 'film.mp4', args: ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-b:v', '2M', '-g', '25', '-pix_fmt', 'yuv420p', '-c:a', 'aac'] },
};
const WORDS = ['UriEndpointStateChanged', 'Recording', 'Stopped', 'Error'];

/** A command that runs another where `folder` is a disk of its own, which nobody else sees. */
function withSmallDisk(folder) {
  const user = process.getuid() === 0 ? [] : ['--user', '--map-root-user'];
  return ['unshare', ...user, '--mount', 'sh', '-c', `mount -t tmpfs -o size=${SMALL_KB}k none "$0" && exec "$@"`, folder];
}

function whyNoSmallDisk() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-try-'));
  const [command, ...words] = [...withSmallDisk(folder), 'true'];
  const { status, stderr, error } = spawnSync(command, words, { encoding: 'utf8' });
  fs.rmdirSync(folder);
  return status === 0 ? undefined : `no disk can be mounted in a namespace here: ${error?.message ?? stderr.trim()}`;
}

const frames = (file) => {
  const { status, stdout, stderr } = spawnSync('ffprobe', ['-v', 'error', '-show_entries', 'packet=pts_time,codec_type', '-of', 'csv=p=0', file], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, ''], `${file} is whole`);
  const rows = stdout.split('\n').filter(Boolean).map((line) => line.split(','));
  return { count: rows.length, end: Math.max(...rows.map(([, at]) => Number(at))) };
};

function assertDecodes(file) {
  const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-f', 'null', '-'], { encoding: 'utf8', timeout: 20_000 });
  assert.deepEqual([status, stderr], [0, ''], `${file} plays`);
}

describe('the disk of a recorder', { timeout: 120_000 }, () => {
  let folder, socket;
  let packets = 0;
  const opened = [];
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-disks-'));
    for (const { file, args } of Object.values(FILMS)) {
      const made = spawnSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=320x240:rate=25:duration=${LENGTH},noise=alls=40:allf=t`, '-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=48000:duration=${LENGTH}`, '-ac', '2', ...args, path.join(folder, file)], { encoding: 'utf8' });
      assert.equal(made.status, 0, made.stderr);
    }
    socket = dgram.createSocket('udp4').on('message', () => { packets += 1; });
    await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
  });
  after(async () => {
    for (const close of opened.reverse()) await close();
    socket?.close();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  async function start(options) {
    const server = await startServer(options);
    opened.push(() => server.stop());
    const rpc = await Rpc.open(server.url);
    opened.push(() => rpc.close());
    return { server, rpc };
  }

  /** A player, and who hears it by RTP. */
  async function stage(rpc, film) {
    const pipeline = await rpc.create('MediaPipeline');
    const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri: `file://${path.join(folder, FILMS[film].file)}` });
    const viewer = await rpc.create('RtpEndpoint', { mediaPipeline: pipeline });
    const map = film === 'WEBM' ? 'VP8/90000' : 'H264/90000';
    await rpc.invoke(viewer, 'processOffer', { offer: rtpOffer([{ kind: 'video', port: socket.address().port, type: 96, map, direction: 'recvonly' }]) });
    await rpc.invoke(player, 'connect', { sink: viewer });
    return { pipeline, player };
  }

  async function recorder(rpc, { pipeline, player }, uri, mediaProfile) {
    const id = await rpc.create('RecorderEndpoint', { mediaPipeline: pipeline, uri, mediaProfile });
    const told = [];
    const errors = [];
    for (const event of WORDS) {
      await rpc.subscribe(id, event);
      rpc.on(id, event, (data) => {
        told.push(data.state ?? event);
        if (event === 'Error') errors.push(data);
      });
    }
    await rpc.invoke(player, 'connect', { sink: id });
    await rpc.invoke(id, 'record');
    return { id, told, errors };
  }

  /** Packets still come to who hears the player. */
  async function hears() {
    const before = packets;
    await until('packets', () => packets - before, (more) => more > 20);
  }

  for (const profile of ['WEBM', 'MP4']) {
    test(`${profile}: a disk that is full ends the recording there, and nothing else`, { skip: whyNoSmallDisk() }, async () => {
      const disk = fs.mkdtempSync(path.join(folder, 'small-'));
      const { server, rpc } = await start({ within: withSmallDisk(disk) });
      const it = await stage(rpc, profile);
      const name = `a.${profile.toLowerCase()}`;
      const full = await recorder(rpc, it, `file://${disk}/deep/${name}`, profile);
      const well = await recorder(rpc, it, `file://${folder}/well-${name}`, profile);
      await rpc.invoke(it.player, 'play');
      await until('an error', () => full.told, (told) => told.includes('Stopped'), 30_000);
      assert.deepEqual(full.told, ['START', 'Recording', 'Error', 'STOP', 'Stopped'], 'why is told before that it ends');
      const [{ type, errorCode, description }] = full.errors;
      assert.deepEqual([type, errorCode], ['RESOURCE_ERROR_NO_SPACE_LEFT', 14]);
      assert.match(description, /^Error code 14: .*no room left/);
      assert.equal(await rpc.invoke(full.id, 'getState'), 'STOP');
      await hears();
      await rpc.invoke(full.id, 'stopAndWait');
      // The server's own view of its disk.
      const left = path.join(folder, `left-${name}`);
      fs.copyFileSync(`/proc/${server.pid}/root${disk}/deep/${name}`, left);
      const kept = frames(left);
      assert.ok(fs.statSync(left).size > 0.8 * SMALL_KB * 1024 && kept.end > 2, `${kept.end} s of what fits are there`);
      assertDecodes(left);
      await until('the film to go on', () => rpc.invoke(it.player, 'getPosition'), (at) => at > (kept.end + 1.5) * 1000);
      await rpc.invoke(well.id, 'stopAndWait');
      await until('the last word', () => well.told, (told) => told.includes('Stopped'));
      assert.deepEqual(well.told, ['START', 'Recording', 'STOP', 'Stopped']);
      const whole = frames(path.join(folder, `well-${name}`));
      assert.ok(whole.end > kept.end + 1, `the other one goes on: ${whole.end} s`);
      assertDecodes(path.join(folder, `well-${name}`));
      await rpc.release(it.pipeline);
    });
  }

  test('a disk that hangs holds up nobody', async () => {
    const { rpc, server } = await start({});
    const it = await stage(rpc, 'WEBM');
    // Nobody reads from it: whoever opens it to write waits.
    const pipe = path.join(folder, 'pipe.webm');
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    const hung = await recorder(rpc, it, `file://${pipe}`, 'WEBM');
    const well = await recorder(rpc, it, `file://${folder}/beside.webm`, 'WEBM');
    await rpc.invoke(it.player, 'play');
    await until('an error', () => hung.told, (told) => told.includes('Error'), 20_000);
    assert.deepEqual(hung.told, ['START', 'Recording', 'Error'], 'told once, when its room is used up');
    assert.match(hung.errors[0].description, /too slow/);
    await hears();
    assert.equal(await rpc.invoke(hung.id, 'getState'), 'START');
    await rpc.invoke(hung.id, 'stop');
    await rpc.invoke(well.id, 'stopAndWait');
    const { end } = frames(path.join(folder, 'beside.webm'));
    assert.ok(end > 2, `the other one is whole: ${end} s`);
    assertDecodes(path.join(folder, 'beside.webm'));
    await rpc.release(it.pipeline);
    assert.ok(!/panicked/.test(server.log()));
    // A reader that comes after all gets what had been kept, and the thread ends.
    const read = fs.openSync(pipe, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    opened.push(() => fs.closeSync(read));
    await until('the thread that hung', () => fs.readdirSync(`/proc/${server.pid}/task`).filter((id) => fs.readFileSync(`/proc/${server.pid}/task/${id}/comm`, 'utf8').startsWith('scribe')).length, (count) => {
      try {
        while (fs.readSync(read, Buffer.alloc(65_536)) > 0);
      } catch (error) {
        if (error.code !== 'EAGAIN') throw error;
      }
      return count === 0;
    });
  });

  test('servers that are killed leave what had been played, but for a second', async () => {
    const seed = Number(process.env.RIVERO_SEED ?? 20_260_101);
    console.log(`RIVERO_SEED=${seed}`);
    const killed = await Promise.all([0, 1, 2].map(async (number) => {
      const server = await startServer();
      const rpc = await Rpc.open(server.url);
      const takes = await Promise.all(Object.keys(FILMS).map(async (profile) => {
        const it = await stage(rpc, profile);
        const file = path.join(folder, `killed-${number}.${profile.toLowerCase()}`);
        const { told } = await recorder(rpc, it, `file://${file}`, profile);
        await rpc.invoke(it.player, 'play');
        await until('it records', () => told, (words) => words.includes('Recording'));
        return { player: it.player, file };
      }));
      const moment = 2000 + ((seed + 1) * (number + 1) * 2_654_435_761) % 4000;
      await until('the moment', () => rpc.invoke(takes[0].player, 'getPosition'), (at) => at >= moment);
      const positions = await Promise.all(takes.map(({ player }) => rpc.invoke(player, 'getPosition')));
      await server.kill();
      rpc.close();
      return takes.map(({ file }, index) => ({ file, played: positions[index] / 1000 }));
    }));
    for (const { file, played } of killed.flat()) {
      const { end } = frames(file);
      assert.ok(end > played - 1, `${file} ends at ${end} s of ${played} s`);
      assertDecodes(file);
    }
  });

  test('a server that is told to end completes its recordings', async () => {
    const server = await startServer();
    const rpc = await Rpc.open(server.url);
    const it = await stage(rpc, 'WEBM');
    const file = path.join(folder, 'ended.webm');
    const { told } = await recorder(rpc, it, `file://${file}`, 'WEBM');
    await rpc.invoke(it.player, 'play');
    await until('it records', () => told, (words) => words.includes('Recording'));
    await until('some film', () => rpc.invoke(it.player, 'getPosition'), (at) => at > 1500);
    rpc.close();
    await server.stop();
    assertDecodes(file);
    const { stdout } = spawnSync('ffprobe', ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0', file], { encoding: 'utf8' });
    assert.ok(Number(stdout) > 1, `its duration is known: ${stdout}`);
  });

  test('files lie below the directories that are named', async () => {
    const inside = path.join(folder, 'allowed');
    fs.mkdirSync(inside);
    fs.copyFileSync(path.join(folder, FILMS.WEBM.file), path.join(inside, FILMS.WEBM.file));
    fs.symlinkSync(folder, path.join(inside, 'out'));
    const { rpc } = await start({ media: { fileRoots: [inside], recordingSync: true } });
    const pipeline = await rpc.create('MediaPipeline');
    const play = async (uri) => {
      const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri });
      const errors = [];
      await rpc.subscribe(player, 'Error');
      rpc.on(player, 'Error', (data) => errors.push(data));
      await rpc.invoke(player, 'play');
      return { pipeline, player, errors };
    };
    for (const uri of [`file://${folder}/${FILMS.WEBM.file}`, `file://${inside}/../${FILMS.WEBM.file}`, `file://${inside}/%2e%2e/${FILMS.WEBM.file}`, `file://${inside}/out/${FILMS.WEBM.file}`, 'file:///etc/passwd']) {
      const { errors } = await play(uri);
      await until(`an error of ${uri}`, () => errors, (list) => list.length > 0);
      assert.deepEqual([errors[0].type, errors[0].errorCode, errors[0].description], ['INVALID_URI', 0, 'Invalid URI'], uri);
    }
    const it = await play(`file://${inside}/${FILMS.WEBM.file}`);
    for (const to of [`${folder}/bad.webm`, `${inside}/out/bad.webm`, `${inside}/../made/bad.webm`, `${inside}/out/made/bad.webm`]) {
      const bad = await recorder(rpc, it, `file://${to}`, 'WEBM');
      await until(`an error of ${to}`, () => bad.told, (told) => told.includes('Stopped'));
      assert.deepEqual([bad.errors[0].type, bad.errors[0].errorCode], ['RESOURCE_ERROR_OPEN', 6], to);
    }
    const good = await recorder(rpc, it, `file://${inside}/deep/er/good.webm`, 'WEBM');
    await until('it records', () => good.told, (told) => told.includes('Recording'));
    await until('the film to go on', () => rpc.invoke(it.player, 'getPosition'), (at) => at > 1500);
    await rpc.invoke(good.id, 'stopAndWait');
    assertDecodes(path.join(inside, 'deep/er/good.webm'));
    assert.ok(!fs.existsSync(path.join(folder, 'bad.webm')) && !fs.existsSync(path.join(folder, 'made')));
    assert.deepEqual(it.errors, []);
    await rpc.release(pipeline);
  });
});
