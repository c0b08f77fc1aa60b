// The page: a loopback through the server. One pipeline with one WebRtcEndpoint joined to itself, the camera on one side
// of it and the screen on the other, and what is to be told about it.
import { Server } from './protocol.js';
import { drawGraph } from './graph.js';
import { readFigures, showFigures } from './figures.js';

const $ = (id) => document.getElementById(id);
const FIGURES_MS = 1000;
const GRAPH_MS = 2000;
const LOG_LINES = 200;

/** For tests and for curious people at the console. */
const rivero = { state: 'idle', server: 'connecting', stats: null, events: [], error: null };
window.rivero = rivero;

// ---- what the person sees ---------------------------------------------------------------------------------------

function say(text, kind = 'quiet') {
  const status = $('status');
  status.textContent = text;
  status.dataset.kind = kind;
}

function note(text, bad = false) {
  const now = new Date();
  const line = document.createElement('li');
  const time = document.createElement('time');
  time.dateTime = now.toISOString();
  time.textContent = now.toTimeString().slice(0, 8) + '.' + String(now.getMilliseconds()).padStart(3, '0');
  const words = document.createElement('span');
  words.textContent = text;
  line.append(time, words);
  if (bad) line.className = 'bad';
  const log = $('log');
  log.prepend(line);
  while (log.children.length > LOG_LINES) log.lastChild.remove();
}

function setState(state) {
  rivero.state = state;
  document.body.dataset.state = state;
  $('start').disabled = state !== 'idle' || rivero.server !== 'connected';
  $('stop').disabled = state === 'idle' || state === 'stopping';
  $('codec').disabled = state !== 'idle';
}

// ---- the loopback -----------------------------------------------------------------------------------------------

const EVENTS = ['IceCandidateFound', 'MediaFlowInStateChanged', 'MediaFlowOutStateChanged', 'ConnectionStateChanged', 'MediaStateChanged',
  'IceComponentStateChanged', 'NewCandidatePairSelected', 'MediaTranscodingStateChanged', 'Error'];

const server = new Server(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/kurento`);
let call = null; // what is live now: { pipeline, endpoint, peer, stream, timers, early, ended }

/** In words a person can act on: what went wrong with the camera or microphone. */
function cameraTrouble(error) {
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'The browser may not use your camera and microphone. Allow it, usually by the sign beside the address, and start again.';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'No camera and no microphone was found. Plug one in and start again.';
    case 'NotReadableError':
    case 'AbortError':
      return 'The camera or the microphone does not answer. Another program may be using it; close that one and start again.';
    default:
      return `The camera cannot be used: ${error.message}`;
  }
}

async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error('Browsers lend the camera only to pages that come over HTTPS or from this very machine. Open this page as localhost, or set up a certificate for the server.');
  }
  const video = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
  const audio = { echoCancellation: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio, video });
  } catch (error) {
    if (error.name !== 'NotFoundError') throw new Error(cameraTrouble(error));
  }
  // One of the two is missing: the other is better than nothing.
  for (const constraints of [{ video }, { audio }]) {
    try {
      return await navigator.mediaDevices.getUserMedia(constraints);
    } catch (error) {
      if (constraints.audio) throw new Error(cameraTrouble(error));
    }
  }
  throw new Error('No camera and no microphone was found.');
}

function prefer(peer, codec) {
  if (!codec) return;
  for (const transceiver of peer.getTransceivers()) {
    if (transceiver.sender.track?.kind !== 'video') continue;
    const all = RTCRtpReceiver.getCapabilities('video').codecs;
    const wanted = all.filter((c) => c.mimeType.toUpperCase() === `VIDEO/${codec}`);
    if (!wanted.length) throw new Error(`This browser has no ${codec}.`);
    transceiver.setCodecPreferences([...wanted, ...all.filter((c) => !wanted.includes(c))]);
  }
}

async function start() {
  if (rivero.state !== 'idle') return;
  setState('starting');
  rivero.error = null;
  rivero.events.length = 0;
  const mine = { timers: [], early: [] };
  call = mine;
  const going = () => {
    if (call !== mine || mine.ended) throw new DOMException('stopped', 'AbortError');
  };
  try {
    say('Opening the camera and the microphone…');
    mine.stream = await openCamera();
    going();
    $('local').srcObject = mine.stream;
    say('Building the pipeline in the server…');
    mine.pipeline = await server.create('MediaPipeline');
    mine.endpoint = await server.create('WebRtcEndpoint', { mediaPipeline: mine.pipeline });
    for (const type of EVENTS) await server.call('subscribe', { object: mine.endpoint, type });
    await server.call('subscribe', { object: mine.pipeline, type: 'Error' });
    await server.invoke(mine.endpoint, 'connect', { sink: mine.endpoint });
    going();
    // Said before, not after: on a short way the media connection stands before the last answer of the negotiation is read.
    say('Connecting…');
    await negotiate(mine);
    going();
    setState('running');
    mine.timers.push(setInterval(() => measure(mine), FIGURES_MS), setInterval(() => redraw(mine), GRAPH_MS));
    redraw(mine);
  } catch (error) {
    if (error.name === 'AbortError') return;
    await stop(`${error.message[0].toUpperCase()}${error.message.slice(1)}`);
  }
}

async function negotiate(mine) {
  const peer = new RTCPeerConnection();
  mine.peer = peer;
  const remote = new MediaStream();
  peer.ontrack = ({ track }) => {
    remote.addTrack(track);
    $('remote').srcObject = remote;
  };
  peer.onicecandidate = ({ candidate }) => {
    if (!candidate?.candidate || mine.ended) return;
    const { candidate: text, sdpMid, sdpMLineIndex } = candidate;
    server.invoke(mine.endpoint, 'addIceCandidate', { candidate: { candidate: text, sdpMid, sdpMLineIndex } })
      .catch((error) => note(`the server refused a candidate: ${error.message}`, true));
  };
  peer.onconnectionstatechange = () => {
    note(`this browser: ${peer.connectionState}`);
    if (mine.ended) return;
    if (peer.connectionState === 'connected') say('Running: what you see on the right has been through the server.', 'good');
    if (peer.connectionState === 'disconnected') say('The media connection is interrupted; waiting for it to come back…', 'bad');
    if (peer.connectionState === 'failed') stop('No way was found between this browser and the server. A firewall between them may drop UDP.');
  };
  for (const track of mine.stream.getTracks()) peer.addTrack(track, mine.stream);
  prefer(peer, $('codec').value);
  await peer.setLocalDescription(await peer.createOffer());
  const answer = await server.invoke(mine.endpoint, 'processOffer', { offer: peer.localDescription.sdp });
  await peer.setRemoteDescription({ type: 'answer', sdp: answer });
  for (const candidate of mine.early.splice(0)) await peer.addIceCandidate(candidate);
  mine.answered = true;
  await server.invoke(mine.endpoint, 'gatherCandidates');
}

async function measure(mine) {
  if (mine.ended) return;
  const { figures, now } = readFigures(await mine.peer.getStats(), mine.before);
  if (mine.ended) return;
  mine.before = now;
  rivero.stats = figures;
  showFigures(figures);
}

async function redraw(mine) {
  if (mine.ended || !server.connected) return;
  try {
    const dot = await server.invoke(mine.pipeline, 'getGstreamerDot');
    if (!mine.ended) drawGraph($('graph'), dot);
  } catch (error) {
    if (!mine.ended && server.connected) note(`the pipeline cannot be drawn: ${error.message}`, true);
  }
}

/** Ends what is live. `trouble` tells the person why, when it was not the person who ended it. */
async function stop(trouble) {
  const mine = call;
  if (!mine || mine.ended) return;
  mine.ended = true;
  setState('stopping');
  for (const timer of mine.timers) clearInterval(timer);
  mine.peer?.close();
  for (const track of mine.stream?.getTracks() ?? []) track.stop();
  $('local').srcObject = null;
  $('remote').srcObject = null;
  $('graph').replaceChildren();
  $('graph').setAttribute('aria-label', 'No pipeline');
  showFigures(null);
  rivero.stats = null;
  if (mine.pipeline && server.connected) {
    try {
      await server.call('release', { object: mine.pipeline });
    } catch (error) {
      note(`the pipeline was not released: ${error.message}`, true);
    }
  }
  call = null;
  rivero.error = trouble ?? null;
  if (trouble) {
    say(trouble, 'bad');
    note(trouble, true);
  } else say('Stopped. The pipeline in the server is released.');
  setState('idle');
}

// ---- what the server tells --------------------------------------------------------------------------------------

server.addEventListener('connected', ({ detail: { resumed } }) => {
  const before = rivero.server;
  rivero.server = 'connected';
  note(before === 'lost' ? 'the server is back' : 'connected to the server');
  if (call && !resumed) stop('The server was started again and knows nothing of this loopback. Start it anew.');
  else if (call) say('Running: the connection to the server is back.', 'good');
  else if (rivero.error === null) say('Ready. Press Start loopback.');
  setState(rivero.state);
});

server.addEventListener('lost', ({ detail: { seconds } }) => {
  if (rivero.server !== 'lost') note('the server is gone', true);
  rivero.server = 'lost';
  rivero.error = null;
  say(`The server does not answer. Trying again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}…`, 'bad');
  setState(rivero.state);
});

server.addEventListener('event', ({ detail: { type, data, object } }) => {
  rivero.events.push({ type, data, object, at: Date.now() });
  if (rivero.events.length > 1000) rivero.events.shift();
  const mine = call;
  if (type === 'IceCandidateFound' && mine && object === mine.endpoint) {
    const { candidate, sdpMid, sdpMLineIndex } = data.candidate;
    const init = { candidate, sdpMid, sdpMLineIndex };
    if (!mine.answered) mine.early.push(init);
    else if (!mine.ended) mine.peer.addIceCandidate(init).catch((error) => note(`a candidate of the server was refused: ${error.message}`, true));
    note(`server candidate ${candidate.split(' ').slice(2, 8).join(' ')}`);
    return;
  }
  const detail = data.newState ?? data.state ?? data.description ?? '';
  note([type, data.mediaType, detail].filter(Boolean).join(' '), type === 'Error');
  if (type === 'Error' && mine && !mine.ended) say(`The server reports: ${data.description}`, 'bad');
});

$('start').addEventListener('click', start);
$('stop').addEventListener('click', () => stop());
$('hear').addEventListener('change', (e) => { $('remote').muted = !e.target.checked; });
window.addEventListener('pagehide', () => {
  if (call?.pipeline && server.connected) server.call('release', { object: call.pipeline }).catch(() => {});
});
setState('idle');
