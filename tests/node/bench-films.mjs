// What a recording and a film cost the server in CPU time and memory, copied as they are, beside an ffmpeg process that copies the same
// film in real time. 1280x720 at 30 Hz, 1.5 Mbps in VP8, with Opus.
// usage: node bench-films.mjs [how many] [seconds]
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

const COUNT = Number(process.argv[2] ?? 40);
const SECONDS = Number(process.argv[3] ?? 15);
/** Until everything plays. */
const SETTLES = 3;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-bench-films-'));
const film = path.join(folder, 'film.webm');
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
const ffmpeg = (...args) => {
  if (spawnSync('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args], { stdio: 'inherit' }).status !== 0) throw new Error('ffmpeg failed');
};
const length = SECONDS + 4 * SETTLES;
ffmpeg('-f', 'lavfi', '-i', `testsrc2=s=1280x720:r=30:d=${length}`, '-f', 'lavfi', '-i', `sine=440:d=${length}`, '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '1500k', '-g', '60', '-c:a', 'libopus', film);

/** Of a server with so many players and, of the first one, recorders: CPU seconds in each second, and memory in the end. */
async function cost(players, recorders) {
  const server = await startServer();
  const rpc = await Rpc.open(server.url);
  const pipeline = await rpc.create('MediaPipeline');
  const on = (type, more = {}) => rpc.create(type, { mediaPipeline: pipeline, ...more });
  const playing = [];
  for (let i = 0; i < players; i++) {
    playing.push(await on('PlayerEndpoint', { uri: `file://${film}` }));
    await rpc.invoke(playing[i], 'connect', { sink: await on('PassThrough') });
  }
  for (let i = 0; i < recorders; i++) {
    const recorder = await on('RecorderEndpoint', { uri: `file://${folder}/${i}.webm`, mediaProfile: 'WEBM' });
    await rpc.invoke(playing[0], 'connect', { sink: recorder });
    await rpc.invoke(recorder, 'record');
  }
  for (const player of playing) await rpc.invoke(player, 'play');
  await sleep(SETTLES);
  const before = server.cpuSeconds();
  await sleep(SECONDS);
  const cpu = (server.cpuSeconds() - before) / SECONDS;
  const memory = server.residentKiB();
  await rpc.release(pipeline);
  await rpc.close();
  await server.stop();
  return { cpu, memory };
}

/** The same of processes that do nothing else, eight at a time; their start is taken off by a shorter run. */
function ffmpegCost() {
  const script = 'import resource,subprocess,sys; all=[subprocess.Popen(sys.argv[1:]) for _ in range(8)]; [p.wait() for p in all]; u=resource.getrusage(resource.RUSAGE_CHILDREN); print((u.ru_utime+u.ru_stime)/8, u.ru_maxrss)';
  const spent = (seconds) => {
    const copy = ['ffmpeg', '-v', 'error', '-nostdin', '-y', '-re', '-t', String(seconds), '-i', film, '-c', 'copy', '-f', 'webm', '/dev/null'];
    return spawnSync('python3', ['-c', script, ...copy], { encoding: 'utf8' }).stdout.split(' ').map(Number);
  };
  const [[short], [long, memory]] = [spent(SETTLES), spent(SETTLES + SECONDS)];
  return { cpu: (long - short) / SECONDS, memory };
}

const line = (name, cpu, memory) => console.log(`${name.padEnd(34)} ${(cpu * 1000).toFixed(2).padStart(6)} ms CPU a second   ${Math.round(memory).toString().padStart(6)} KiB`);
try {
  const one = await cost(1, 0);
  const recorded = await cost(1, COUNT);
  const played = await cost(COUNT + 1, 0);
  const theirs = ffmpegCost();
  line(`a recording, of ${COUNT}`, (recorded.cpu - one.cpu) / COUNT, (recorded.memory - one.memory) / COUNT);
  line(`a film that is played, of ${COUNT}`, (played.cpu - one.cpu) / COUNT, (played.memory - one.memory) / COUNT);
  line('ffmpeg -re -c copy, of 8 processes', theirs.cpu, theirs.memory);
} finally {
  fs.rmSync(folder, { recursive: true });
}
