// Records in the server: a WebRtcEndpoint that only receives, joined to a RecorderEndpoint.
import { $, clock, heirsOf, note, plainly, rivero, say, sentence, server, size } from './page.js';
import { Call, hasCodec } from './call.js';
import { openCamera, openTestPicture } from './camera.js';
import { bytesOf, refresh, uriOf } from './recordings.js';
import { watch } from './watch.js';

const TICK_MS = 250;
const SIZE_MS = 1000;
const RECORDER_EVENTS = ['Recording', 'Paused', 'Stopped', 'Error'];

let now = null; // what is live: { call, recorder, name, source, recorded, since, bytes }
let possible = null; // whether the server keeps recordings; null: not known yet
const my = { state: 'idle', name: null, elapsed: 0, bytes: 0, error: null };
rivero.recorder = my;

const passFocusOn = heirsOf(['record', 'record-pause', 'record-stop'], ['record-pause', 'record']);
const words = (text, kind) => say('record-status', text, kind);

function setState(state) {
  my.state = state;
  $('record').disabled = state !== 'idle' || !possible || rivero.server !== 'connected';
  $('record-pause').disabled = state !== 'recording' && state !== 'paused';
  $('record-pause').textContent = state === 'paused' ? 'Resume' : 'Pause';
  $('record-stop').disabled = state === 'idle' || state === 'stopping';
  for (const id of ['record-source', 'record-profile']) $(id).disabled = state !== 'idle';
  passFocusOn();
  $('record-light').hidden = state !== 'recording';
  showProgress();
}

function showProgress() {
  const elapsed = now ? now.recorded + (now.since === null ? 0 : performance.now() - now.since) : my.elapsed;
  my.elapsed = elapsed;
  if (now) my.bytes = now.bytes;
  $('record-time').textContent = clock(elapsed);
  $('record-size').textContent = my.bytes ? size(my.bytes) : '–';
}

/** A name that says when, and is nobody else's. */
function newName(extension) {
  const two = (n) => String(n).padStart(2, '0');
  const t = new Date();
  const date = `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;
  const time = [t.getHours(), t.getMinutes(), t.getSeconds()].map(two).join('-');
  const mark = [...crypto.getRandomValues(new Uint8Array(2))].map((b) => b.toString(16).padStart(2, '0')).join('');
  return `${date}_${time}_${mark}.${extension}`;
}

/** What the container takes as it is need not be coded anew. */
function codecFor(container) {
  const liked = { WEBM: 'VP8', MP4: 'H264', FLV: 'H264' }[container];
  return liked && hasCodec('video', liked) ? liked : '';
}

async function record() {
  if (my.state !== 'idle' || !possible) return;
  const profile = $('record-profile').value;
  const [container, only] = profile.split(/_(.*)/);
  const wanted = { audio: only !== 'VIDEO_ONLY', video: only !== 'AUDIO_ONLY' };
  const name = newName(container.toLowerCase());
  const call = new Call({ told, state: connection });
  const mine = { call, name, recorded: 0, since: null, bytes: 0 };
  now = mine;
  Object.assign(my, { name, error: null, bytes: 0 });
  setState('starting');
  try {
    mine.source = await openSource(wanted);
    if (call.ended) mine.source.close();
    call.check();
    $('preview').srcObject = mine.source.stream;
    words('Building the pipeline in the server…');
    await call.build();
    mine.recorder = await call.add('RecorderEndpoint', { uri: uriOf(name), mediaProfile: profile }, RECORDER_EVENTS);
    for (const [kind, on] of [['AUDIO', wanted.audio], ['VIDEO', wanted.video]]) {
      if (on) await server.invoke(call.endpoint, 'connect', { sink: mine.recorder, mediaType: kind });
    }
    call.check();
    watch('record', call);
    words('Connecting…');
    await call.negotiate({ stream: mine.source.stream, codec: codecFor(container) });
    await server.invoke(mine.recorder, 'record');
    call.check();
    mine.timers = [setInterval(showProgress, TICK_MS), setInterval(() => weigh(mine), SIZE_MS)];
  } catch (error) {
    if (error.name !== 'AbortError') await stop(sentence(error.message));
  }
}

async function openSource(wanted) {
  if ($('record-source').value === 'test') return openTestPicture(wanted);
  words(wanted.video ? 'Opening the camera and the microphone…' : 'Opening the microphone…');
  try {
    const stream = await openCamera(wanted);
    return { stream, close: () => {} };
  } catch (error) {
    throw new Error(`${error.message} Or choose the test picture as the source.`);
  }
}

async function weigh(mine) {
  const bytes = await bytesOf(mine.name);
  if (bytes !== null && now === mine) mine.bytes = bytes;
}

async function pauseOrResume() {
  try {
    await server.invoke(now.recorder, my.state === 'paused' ? 'record' : 'pause');
  } catch (error) {
    words(sentence(error.message), 'bad');
  }
}

function connection(state) {
  if (state === 'disconnected') words('The media connection is interrupted; waiting for it to come back…', 'bad');
  if (state === 'failed') stop('No way was found between this browser and the server. A firewall between them may drop UDP.');
}

function rest(mine) {
  if (mine.since !== null) mine.recorded += performance.now() - mine.since;
  mine.since = null;
}

function told(type, data) {
  const mine = now;
  if (!mine || my.state === 'stopping') return;
  if (type === 'Recording') {
    mine.since ??= performance.now();
    setState('recording');
    words(`Recording ${mine.name}`, 'good');
  } else if (type === 'Paused') {
    rest(mine);
    setState('paused');
    words('Paused: what happens now is not recorded.');
  } else if (type === 'Error') {
    my.error = data.description;
    const trouble = `The server says “${plainly(data)}”.`;
    words(trouble, 'bad');
    if (plainly(data).startsWith('The recording fails')) stop(trouble);
  }
}

/** Completes the recording. `trouble` tells the person why, when it was not the person who ended it. */
async function stop(trouble) {
  const mine = now;
  if (!mine || mine.call.ended || my.state === 'stopping') return;
  rest(mine);
  const was = my.state;
  setState('stopping');
  mine.timers?.forEach(clearInterval);
  // What is complete may be played.
  if (mine.recorder && server.connected) {
    words('Completing the recording…');
    await server.invoke(mine.recorder, 'stopAndWait').catch((error) => note(`the recording was not completed: ${error.message}`, true));
  }
  $('preview').srcObject = null;
  mine.source?.stream.getTracks().forEach((track) => track.stop());
  mine.source?.close();
  const ended = mine.call.end();
  watch('record', null);
  await ended;
  await weigh(mine);
  showProgress();
  now = null;
  if (trouble) {
    my.error ??= trouble;
    note(trouble, true);
    words(trouble, 'bad');
  } else if (was === 'starting') words('Stopped before anything was recorded.');
  else words(`Recorded ${clock(my.elapsed)}, ${size(my.bytes)}: ${mine.name} is in the list.`, 'good');
  setState('idle');
  await refresh(mine.name);
}

function ready() {
  if (possible === null) return;
  if (!possible) words('Recording from this page is off: see below.');
  else if (!my.error) words('Ready. Press Record.');
}

document.addEventListener('recordings', ({ detail }) => {
  const before = possible;
  possible = detail.possible;
  if (my.state === 'idle' && before !== possible) ready();
  setState(my.state);
});
server.addEventListener('connected', ({ detail: { resumed } }) => {
  if (now && !resumed) stop('The server was started again and knows nothing of this recording. What it had recorded is in the list.');
  else if (now) words('The connection to the server is back.', 'good');
  else ready();
  setState(my.state);
});
server.addEventListener('lost', ({ detail: { seconds } }) => {
  my.error = null;
  words(`The server does not answer. Trying again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}…`, 'bad');
  setState(my.state);
});

$('record').addEventListener('click', record);
$('record-pause').addEventListener('click', pauseOrResume);
$('record-stop').addEventListener('click', () => stop());
setState('idle');
