// Plays films through the server: a PlayerEndpoint joined to a WebRtcEndpoint that only sends.
import { $, clock, heirsOf, note, plainly, rivero, say, sentence, server } from './page.js';
import { Call } from './call.js';
import { watch } from './watch.js';

const POSITION_MS = 250;
/** Readings of the position for each question how long the film is. */
const INFO_EACH = 4;
const PLAYER_EVENTS = ['UriEndpointStateChanged', 'EndOfStream', 'Error'];

let now = null; // what is live: { call, player, uri, title, info, position, trouble }
const my = { state: 'idle', uri: null, duration: 0, position: 0, error: null };
rivero.player = my;

const passFocusOn = heirsOf(['play', 'play-pause', 'play-stop'], ['play-pause', 'play']);
const words = (text, kind) => say('play-status', text, kind);

/** What a person writes, as the server wants it: paths of files become URIs. */
function uriOf(text) {
  const written = text.trim();
  if (!written.startsWith('/')) return written;
  return `file://${written.split('/').map(encodeURIComponent).join('/')}`;
}

function setState(state) {
  my.state = state;
  const there = rivero.server === 'connected';
  const same = now !== null && uriOf($('film').value) === now.uri;
  $('play').disabled = !there || state === 'starting' || state === 'stopping' || (state === 'playing' && same);
  $('play').textContent = same && state === 'ended' ? 'Play again' : 'Play';
  $('play-pause').disabled = !there || state !== 'playing';
  $('play-stop').disabled = state === 'idle' || state === 'stopping';
  $('seek').disabled = !there || !now?.info?.isSeekable || (state !== 'playing' && state !== 'paused');
  passFocusOn();
  showPosition();
}

function showPosition() {
  const { duration = 0 } = now?.info ?? {};
  const position = Math.min(now?.position ?? 0, duration || Infinity);
  Object.assign(my, { duration, position });
  if (now?.dragged === undefined) $('seek').value = duration ? position : 0;
  $('seek').max = Math.max(duration, 1);
  const at = now?.dragged ?? position;
  const text = !now ? '–:–– / –:––' : duration ? `${clock(at)} / ${clock(duration)}` : clock(at);
  $('play-time').textContent = text;
  $('seek').setAttribute('aria-valuetext', duration ? `${clock(at)} of ${clock(duration)}` : clock(at));
}

/** Plays what stands in the field: from its beginning, or from where it was paused. */
async function play() {
  const uri = uriOf($('film').value);
  if (!uri) {
    words('Write what to play into the field: a file on the server’s machine, or an address.', 'bad');
    $('film').focus();
    return;
  }
  if (now && now.uri === uri && (my.state === 'paused' || my.state === 'ended')) return resume();
  await open(uri, uri);
}

async function resume() {
  const mine = now;
  mine.trouble = null;
  try {
    await server.invoke(mine.player, 'play');
  } catch (error) {
    if (!mine.call.ended) words(sentence(error.message), 'bad');
  }
}

/** Plays a film from its beginning, instead of what is played now. `title`: how the person knows it. */
export async function open(uri, title) {
  if (now) await stop();
  const call = new Call({ told, state: connection });
  const mine = { call, uri, title, info: null, position: 0, trouble: null };
  now = mine;
  my.uri = uri;
  my.error = null;
  setState('starting');
  try {
    words('Building the pipeline in the server…');
    await call.build();
    mine.player = await call.add('PlayerEndpoint', { uri }, PLAYER_EVENTS);
    await server.invoke(mine.player, 'connect', { sink: call.endpoint });
    call.check();
    watch('play', call);
    words('Connecting…');
    await call.negotiate({ video: $('screen') });
    words('Opening the film…');
    await server.invoke(mine.player, 'play');
    call.check();
    letSound($('play-sound').checked);
    mine.timer = setInterval(() => follow(mine), POSITION_MS);
  } catch (error) {
    if (error.name !== 'AbortError') await stop(sentence(error.message));
  }
}

/** Browsers may refuse to begin with sound; then it is shown without. */
async function letSound(wanted) {
  const screen = $('screen');
  screen.muted = !wanted;
  try {
    await screen.play();
  } catch (error) {
    if (error.name !== 'NotAllowedError' || screen.muted) return;
    screen.muted = true;
    $('play-sound').checked = false;
    screen.play().catch(() => {});
  }
}

/** Where the film is, and how long it is once the server knows. */
async function follow(mine) {
  if (mine.call.ended || mine.asking || !server.connected || (my.state !== 'playing' && my.state !== 'paused')) return;
  mine.asking = true;
  try {
    mine.readings = (mine.readings ?? -1) + 1;
    if (!mine.info && mine.readings % INFO_EACH === 0) {
      const info = await server.invoke(mine.player, 'getVideoInfo');
      // Until the film is open, nothing is known of it. What is live has no length later either.
      if (info.duration > 0) mine.info = info;
    }
    if (mine.seeking === undefined) {
      const position = await server.invoke(mine.player, 'getPosition');
      if (mine.seeking === undefined && now === mine && my.state !== 'ended') mine.position = position;
      if (now === mine && mine.trouble) heal(mine, position);
    }
    if (now === mine && my.state === 'playing' && !mine.runs && (mine.info || mine.position > 0)) {
      mine.runs = true;
      tellPlaying(mine);
    }
  } catch (error) {
    if (!mine.call.ended && server.connected) note(`the position is not known: ${error.message}`, true);
  }
  mine.asking = false;
  if (now === mine) setState(my.state);
}

/** A source that broke off may come back: then the position moves again. */
function heal(mine, position) {
  if (mine.stoodAt !== undefined && position > mine.stoodAt && my.state === 'playing') {
    mine.trouble = null;
    tellPlaying(mine);
  }
  mine.stoodAt = position;
}

function tellPlaying(mine) {
  words(mine.runs ? `Playing ${mine.title} through the server.` : 'Opening the film…', mine.runs ? 'good' : 'quiet');
}

async function seek(to) {
  const mine = now;
  if (!mine?.info?.isSeekable) return;
  mine.position = to;
  mine.seeking = to;
  delete mine.dragged;
  showPosition();
  try {
    await server.invoke(mine.player, 'setPosition', { position: to });
    if (my.state === 'paused') words(`Paused. Press Play to go on from ${clock(to)}.`);
  } catch (error) {
    if (!mine.call.ended) words(error.code === 40700 ? 'The server cannot go to that place of this film.' : sentence(error.message), 'bad');
  }
  if (mine.seeking === to) delete mine.seeking;
}

async function pause() {
  try {
    await server.invoke(now.player, 'pause');
  } catch (error) {
    words(sentence(error.message), 'bad');
  }
}

function connection(state) {
  if (state === 'disconnected') words('The media connection is interrupted; waiting for it to come back…', 'bad');
  if (state === 'failed') stop('No way was found between this browser and the server. A firewall between them may drop UDP.');
}

/** In words a person can act on: why a film is not played. */
function filmTrouble(error, uri) {
  const { type } = error;
  const says = `The server says “${plainly(error)}”.`;
  if (type === 'INVALID_MEDIA') return `${says} What is there is no film that the server can read, or a damaged one.`;
  if (type !== 'INVALID_URI') return says;
  if (uri.startsWith('file:')) return `${says} Is there such a file on the server’s machine, and may the server read it?`;
  if (/^[a-z][a-z0-9+.-]*:/i.test(uri)) return `${says} Nothing can be opened there: the address may be misspelt, or nobody answers at it.`;
  return `${says} A name without a path is looked for in the server’s own directory; write the whole path of a file, from its first slash.`;
}

function told(type, data, object) {
  const mine = now;
  if (!mine) return;
  if (type === 'Error') {
    mine.trouble = object === mine.player ? filmTrouble(data, mine.uri) : `The server says “${plainly(data)}”.`;
    my.error = data.description;
    delete mine.stoodAt;
    words(mine.trouble, 'bad');
    if (my.state === 'starting') stop(mine.trouble);
  } else if (type === 'EndOfStream') {
    mine.position = mine.info?.duration ?? mine.position;
    setState('ended');
    words('The film has ended (EndOfStream). Press Play again to see it once more.');
  } else if (type === 'UriEndpointStateChanged') stateChanged(mine, data.state);
}

function stateChanged(mine, state) {
  if (state === 'START') {
    setState('playing');
    tellPlaying(mine);
  } else if (state === 'PAUSE') {
    setState('paused');
    words('Paused. Press Play to go on.');
  } else if (mine.trouble) stop(mine.trouble);
  // A film that has ended stops first, and says then that it was the end.
  else setState('ended');
}

/** Ends what is played. `trouble` tells the person why, when it was not the person who ended it. */
async function stop(trouble) {
  const mine = now;
  if (!mine || mine.call.ended) return;
  setState('stopping');
  clearInterval(mine.timer);
  $('screen').srcObject = null;
  const ended = mine.call.end();
  watch('play', null);
  await ended;
  if (now !== mine) return;
  now = null;
  if (trouble) {
    my.error ??= trouble;
    note(trouble, true);
    words(trouble, 'bad');
  } else words('Stopped. The pipeline in the server is released.');
  setState('idle');
}

server.addEventListener('connected', ({ detail: { resumed } }) => {
  if (now && !resumed) stop('The server was started again and knows nothing of this film. Play it anew.');
  else if (now) words('The connection to the server is back.', 'good');
  else if (!my.error) words('Ready. Choose a film and press Play.');
  setState(my.state);
});
server.addEventListener('lost', ({ detail: { seconds } }) => {
  my.error = null;
  words(`The server does not answer. Trying again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}…`, 'bad');
  setState(my.state);
});

$('play-form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (!$('play').disabled) play();
});
$('film').addEventListener('input', () => setState(my.state));
$('play-pause').addEventListener('click', pause);
$('play-stop').addEventListener('click', () => stop());
$('play-sound').addEventListener('change', (event) => letSound(event.target.checked));
$('seek').addEventListener('input', (event) => {
  if (!now) return;
  now.dragged = Number(event.target.value);
  showPosition();
});
// Dragged away and back: nothing changes, but the slider follows the film again.
$('seek').addEventListener('pointerup', () => setTimeout(() => { if (now) delete now.dragged; }));
$('seek').addEventListener('change', (event) => seek(Number(event.target.value)));
$('seek').addEventListener('keydown', (event) => {
  // A step of the slider itself is a millisecond.
  const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
  if (!step || !now?.info) return;
  event.preventDefault();
  const far = Math.min(5000, now.info.duration / 10);
  seek(Math.round(Math.min(Math.max(now.position + step * far, 0), now.info.duration)));
});
setState('idle');
