// Many films at a time, each in its own player and call of one page, and what a person would see and hear of each.
import { LOOK, launch, newPage, serveTestPage } from './browser.mjs';
import { CALLS, join } from './call.mjs';
import { TONE, inColour, inTurn } from './clips.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

/** Put into the page: window.watch(name) begins, window.seen(name) ends and tells. */
const WATCH = () => {
  const context = new AudioContext();
  const WIDE = 32, HIGH = 24;
  const watched = {};

  /** Mean colours of the four quarters, away from their edges: [[r, g, b], ...]. */
  function quarters(canvas, video) {
    canvas.drawImage(video, 0, 0, WIDE, HIGH);
    return [[3, 3], [WIDE / 2 + 3, 3], [3, HIGH / 2 + 3], [WIDE / 2 + 3, HIGH / 2 + 3]].map(([x, y]) => {
      const { data } = canvas.getImageData(x, y, WIDE / 2 - 6, HIGH / 2 - 6);
      const sum = [0, 0, 0];
      for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c++) sum[c] += data[i + c];
      return sum.map((s) => Math.round(s / (data.length / 4)));
    });
  }

  /** Every picture of a track, also those for which a busy screen finds no time. */
  async function readAll(track, see) {
    const pictures = new MediaStreamTrackProcessor({ track }).readable.getReader();
    for (;;) {
      const { value, done } = await pictures.read();
      if (done) return;
      see(value);
      value.close();
    }
  }

  /** The number that a picture's bars say, in Gray's code; `null` where they are not clear. */
  function number(canvas, video, bits) {
    canvas.drawImage(video, 0, 0, bits * 4, 4);
    const { data } = canvas.getImageData(0, 2, bits * 4, 1);
    let value = 0, set = 0;
    for (let bit = bits - 1; bit >= 0; bit--) {
      const light = (data[(bit * 4 + 1) * 4] + data[(bit * 4 + 2) * 4]) / 2;
      if (light > 90 && light < 160) return null;
      set ^= light >= 160 ? 1 : 0;
      value = value * 2 + set;
    }
    return value;
  }

  /** `bits`: its pictures carry numbers, and these are noted instead of colours. */
  window.watch = async (name, { bits } = {}) => {
    await context.resume();
    const video = document.querySelector(`#remote_${name}`);
    const canvas = new OffscreenCanvas(WIDE * 2, HIGH).getContext('2d', { willReadFrequently: true });
    const film = { pictures: 0, sizes: {}, looks: [], tones: [], numbers: [], over: false };
    watched[name] = film;
    const look = () => {
      if (film.over) return;
      film.pictures += 1;
      const size = `${video.videoWidth}x${video.videoHeight}`;
      film.sizes[size] = (film.sizes[size] ?? 0) + 1;
      film.looks.push(quarters(canvas, video));
      video.requestVideoFrameCallback(look);
    };
    if (bits) readAll(video.srcObject.getVideoTracks()[0], (picture) => film.numbers.push(number(canvas, picture, bits)));
    else video.requestVideoFrameCallback(look);
    const analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(new MediaStream(video.srcObject.getAudioTracks())).connect(analyser);
    const levels = new Float32Array(analyser.frequencyBinCount);
    const step = context.sampleRate / analyser.fftSize;
    const apart = Math.ceil(60 / step);
    film.timer = setInterval(() => {
      analyser.getFloatFrequencyData(levels);
      const at = levels.indexOf(Math.max(...levels));
      if (levels[at] < -70) return;
      const rest = levels.reduce((most, level, bin) => (Math.abs(bin - at) > apart ? Math.max(most, level) : most), -Infinity);
      film.tones.push([Math.round(at * step), Math.round(levels[at] - rest)]);
    }, 100);
  };
  window.numbers = (name, from) => watched[name].numbers.slice(from);
  window.seen = async (name) => {
    const film = watched[name];
    film.over = true;
    clearInterval(film.timer);
    const figures = await window.look.figures(window.calls[name].peer);
    const { pictures, sizes, looks, tones } = film;
    return { pictures, sizes, looks, tones, figures };
  };
  window.leave = (name) => {
    window.calls[name].peer.close();
    delete window.calls[name];
    delete watched[name];
    document.querySelector(`#remote_${name}`).remove();
  };
};

const near = (hertz, wanted) => Math.abs(hertz - wanted) < 20;
/** A server, a browser and a page in which films are watched. */
export async function cinema(options = {}) {
  const [browser, server, site] = await Promise.all([launch(), startServer(options), serveTestPage()]);
  const rpc = await Rpc.open(server.url);
  const page = await newPage(browser);
  for (const script of [LOOK, CALLS, WATCH]) await page.addInitScript(script);
  await page.goto(site.url);
  let number = 0;

  /** A player and a viewer of it, connected. */
  async function seat(uri, { join: joining = {}, watch: watching = {}, name = `f${number++}` } = {}) {
    const pipeline = await rpc.create('MediaPipeline');
    const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri });
    const viewer = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
    const errors = [];
    for (const element of [pipeline, player, viewer]) {
      await rpc.subscribe(element, 'Error');
      rpc.on(element, 'Error', (error) => errors.push(`${error.type} ${error.description}`));
    }
    await rpc.subscribe(player, 'EndOfStream');
    await rpc.invoke(player, 'connect', { sink: viewer });
    const connected = rpc.subscribe(viewer, 'ConnectionStateChanged').then(() => rpc.waitFor(viewer, 'ConnectionStateChanged', ({ newState }) => newState === 'CONNECTED'));
    await join(page, rpc, viewer, name, { send: false, ...joining });
    await connected;
    await page.evaluate(([n, w]) => window.watch(n, w), [name, watching]);
    return {
      name, pipeline, player, viewer, errors,
      ended: (ms) => rpc.waitFor(player, 'EndOfStream', () => true, ms),
      numbers: (from = 0) => page.evaluate(([n, f]) => window.numbers(n, f), [name, from]),
      seen: () => page.evaluate((n) => window.seen(n), name),
      end: async () => {
        await page.evaluate((n) => window.leave(n), name);
        await rpc.release(pipeline);
      },
    };
  }

  /** Plays a film to its end. What was seen and heard, and errors. */
  async function watch(uri, ms = 20_000, options = {}) {
    const it = await seat(uri, options);
    const ended = it.ended(ms).then(() => true, () => false);
    await rpc.invoke(it.player, 'play');
    const stopped = new Promise((resolve) => rpc.on(it.player, 'Error', () => resolve(false)));
    const end = await Promise.race([ended, stopped]);
    // The last pictures are on their way.
    await new Promise((resolve) => setTimeout(resolve, 300));
    const seen = await it.seen();
    await it.end();
    return { ...seen, end, errors: it.errors };
  }

  return {
    browser, server, rpc, page, seat, watch,
    /** So many at a time. */
    watchAll: (films, hands, see) => inTurn(films, hands, see),
    async close() {
      await rpc.close();
      await browser.close();
      await site.close();
      await server.stop();
    },
  };
}

/** What is wrong with how a clip was seen and heard, in words; nothing if nothing is. */
export function complaints(clip, { end, errors, pictures, looks, tones }, looksRight = clip.looksRight ?? inColour, hertz = TONE) {
  const wrong = [...errors];
  if (!end) wrong.push('no EndOfStream');
  const right = looks.filter(looksRight).length;
  if (clip.video && (pictures < (clip.leastPictures ?? 5) || right < pictures * 0.7)) wrong.push(`${right} of ${pictures} pictures are right, the last ${JSON.stringify(looks.at(-1))}`);
  const heard = tones.filter(([at, above]) => near(at, hertz) && above > 10).length;
  if (clip.audio && heard < 3) wrong.push(`the tone was heard ${heard} times: ${JSON.stringify(tones.slice(-6))}`);
  return wrong;
}
