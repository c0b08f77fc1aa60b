// Films that tell their time. A page draws pictures that each carry the time of its audio clock as a bar code, with a flash in the
// first tenth of every second, and plays a beep at exactly those seconds; here such films are read again with FFmpeg's tools.
import { spawnSync } from 'node:child_process';

const WIDTH = 320, HEIGHT = 240, RATE = 48_000;

/** Put into a page: window.timed() makes the stream, window.sizeOf(w, h) changes its size, window.drawn lists what was drawn, in ms. A browser
 * without time to spare stops its audio clock: window.halts lists by how many ms it was behind when it was looked at. */
export const TIMED = () => {
  window.drawn = [];
  window.halts = [];
  window.timed = async () => {
    const audio = new AudioContext({ sampleRate: 48_000 });
    await audio.resume();
    const second = audio.createBuffer(1, 48_000, 48_000);
    second.copyToChannel(Float32Array.from({ length: 4800 }, (_, i) => 0.5 * Math.sin((2 * Math.PI * 1000 * i) / 48_000)), 0);
    const beeps = new AudioBufferSourceNode(audio, { buffer: second, loop: true });
    const out = new MediaStreamAudioDestinationNode(audio);
    beeps.connect(out);
    const zero = audio.currentTime + 0.1;
    beeps.start(zero);
    const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
    const context = canvas.getContext('2d', { alpha: false });
    window.sizeOf = (width, height) => Object.assign(canvas, { width, height });
    const paint = () => {
      const { width, height } = canvas;
      window.halts.push(performance.now() - audio.currentTime * 1000);
      const now = Math.max(0, Math.round((audio.currentTime - zero) * 1000));
      context.fillStyle = now % 1000 < 100 ? 'white' : 'rgb(20, 60, 120)';
      context.fillRect(0, 0, width, height / 2);
      for (let cell = 0; cell < 16; cell += 1) {
        const bit = (now >> (15 - cell)) & 1;
        for (const [row, on] of [[2, bit], [3, 1 - bit]]) {
          context.fillStyle = on ? 'white' : 'black';
          context.fillRect((cell * width) / 16, (row * height) / 4, width / 16, height / 4);
        }
      }
      if (window.drawn.at(-1) !== now) window.drawn.push(now);
    };
    paint();
    setInterval(paint, 40);
    return new MediaStream([...canvas.captureStream(25).getTracks(), ...out.stream.getTracks()]);
  };
};

/** The milliseconds of a picture of `width` x `height` whose brightness at (x, y) is `at(x, y)`; undefined where no code is to be read. */
export function readCode(at, width, height) {
  let code = 0;
  for (let cell = 0; cell < 16; cell += 1) {
    const x = Math.floor(((cell + 0.5) * width) / 16);
    const [bit, complement] = [0.625, 0.875].map((y) => at(x, Math.floor(y * height)));
    if (Math.abs(bit - complement) < 60) return undefined;
    code = code * 2 + Number(bit > complement);
  }
  return code;
}

/** What a file is, where its ending says something else: one picture after the other is no still picture. */
const input = (file) => (file.endsWith('.jpeg') ? ['-f', 'mjpeg', '-i', file] : ['-i', file]);

function run(command, args, encoding = 'utf8') {
  const { status, stdout, stderr, error } = spawnSync(command, ['-v', 'error', ...args], { encoding, timeout: 30_000, maxBuffer: 1 << 29 });
  if (error || status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error ?? stderr}`);
  return { stdout, stderr: stderr.toString() };
}

/** What ffprobe says of a file: its format, its streams with their counted frames. */
export const probe = (file) => JSON.parse(run('ffprobe', ['-count_frames', '-show_format', '-show_streams', '-of', 'json', ...input(file)]).stdout);

/** What ffmpeg complains of in a file. That it wants frames further apart than a browser sends them is its own affair. */
export function complaints(file) {
  const { stderr } = run('ffmpeg', ['-xerror', ...input(file), '-f', 'null', '-']);
  return stderr.split('\n').filter((line) => line && !line.includes('non monotonically increasing dts'));
}

/** Every picture of a film: { at, key, width, height, code, bright }, times in seconds, the code in ms. */
export function pictures(file) {
  const entries = 'frame=key_frame,pts_time,width,height';
  const { frames } = JSON.parse(run('ffprobe', ['-select_streams', 'v:0', '-show_entries', entries, '-of', 'json', ...input(file)]).stdout);
  const filter = `scale=${WIDTH}:${HEIGHT}:flags=area,format=gray`;
  const { stdout } = run('ffmpeg', [...input(file), '-map', '0:v:0', '-vf', filter, '-fps_mode', 'passthrough', '-f', 'rawvideo', '-'], 'buffer');
  const size = WIDTH * HEIGHT;
  if (stdout.length !== size * frames.length) throw new Error(`${file}: ${stdout.length / size} pictures, ${frames.length} times`);
  return frames.map((frame, index) => {
    const at = (x, y) => stdout[index * size + y * WIDTH + x];
    const { width, height } = frame;
    return { at: Number(frame.pts_time), key: frame.key_frame === 1, width, height, code: readCode(at, WIDTH, HEIGHT), bright: at(WIDTH / 2, HEIGHT / 4) > 128 };
  });
}

/** The sound of a film: { from, to, beeps }, the beginnings of its beeps, in seconds of the film. */
export function sound(file) {
  const { frames } = JSON.parse(run('ffprobe', ['-select_streams', 'a:0', '-show_entries', 'frame=pts_time,nb_samples,sample_rate', '-of', 'json', ...input(file)]).stdout);
  const { stdout } = run('ffmpeg', [...input(file), '-map', '0:a:0', '-ac', '1', '-ar', String(RATE), '-f', 'f32le', '-'], 'buffer');
  const samples = new Float32Array(stdout.buffer, stdout.byteOffset, stdout.length >> 2);
  const from = Number(frames[0].pts_time);
  // Loudness of each millisecond.
  const step = RATE / 1000;
  const loud = Float32Array.from({ length: Math.floor(samples.length / step) }, (_, i) => samples.subarray(i * step, (i + 1) * step).reduce((sum, s) => sum + s * s, 0));
  // Beeps are a tenth of it. Not the loudest counts: a decoder that begins in the midst of one is louder for a moment.
  const half = Float32Array.from(loud).sort()[Math.floor(0.95 * loud.length)] / 4;
  const beeps = [];
  let quiet = 300;
  loud.forEach((l, ms) => {
    if (l > half && quiet >= 300) beeps.push(from + ms / 1000);
    quiet = l > half ? 0 : quiet + 1;
  });
  return { from, to: Number(frames.at(-1).pts_time), lasts: samples.length / RATE, beeps };
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/** How much later than its picture each beep is in a film, { second, ms }, by the codes of the pictures around it. */
export function offsets(shown, beeps) {
  return beeps.flatMap((beep) => {
    const around = shown.filter((p) => p.code !== undefined && Math.abs(p.at - beep) < 0.5);
    if (around.length < 5) return [];
    const time = (beep - median(around.map((p) => p.at - p.code / 1000))) * 1000;
    const second = Math.round(time / 1000);
    return [{ second, ms: time - second * 1000 }];
  });
}

/** Where ffprobe lands when it seeks to a time, in seconds. */
export function keysBefore(file, time) {
  const { stdout } = run('ffprobe', ['-select_streams', 'v:0', '-read_intervals', `${time}%+#1`, '-show_entries', 'packet=pts_time,flags', '-of', 'json', ...input(file)]);
  const [{ pts_time: at, flags }] = JSON.parse(stdout).packets;
  return { at: Number(at), key: flags.startsWith('K') };
}
