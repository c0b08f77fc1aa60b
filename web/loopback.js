// A loopback through the server: one WebRtcEndpoint joined to itself, the camera on one side of it and the screen on the other.
import { $, note, plainly, rivero, say, sentence, server } from './page.js';
import { Call } from './call.js';
import { openCamera } from './camera.js';
import { watch } from './watch.js';

let now = null; // what is live: { call, stream }

function setState(state) {
  rivero.state = state;
  document.body.dataset.state = state;
  $('start').disabled = state !== 'idle' || rivero.server !== 'connected';
  $('stop').disabled = state === 'idle' || state === 'stopping';
  $('codec').disabled = state !== 'idle';
}

async function start() {
  if (rivero.state !== 'idle') return;
  setState('starting');
  rivero.error = null;
  rivero.events.length = 0;
  const call = new Call({ told, state: connection });
  const mine = { call, stream: null };
  now = mine;
  try {
    say('status', 'Opening the camera and the microphone…');
    const stream = await openCamera();
    mine.stream = stream;
    if (call.ended) stream.getTracks().forEach((track) => track.stop());
    call.check();
    $('local').srcObject = stream;
    say('status', 'Building the pipeline in the server…');
    await call.build();
    await server.invoke(call.endpoint, 'connect', { sink: call.endpoint });
    call.check();
    // Said before, not after: on a short way the media connection stands before the last answer of the negotiation is read.
    say('status', 'Connecting…');
    await call.negotiate({ stream, video: $('remote'), codec: $('codec').value });
    setState('running');
    watch('loopback', call);
  } catch (error) {
    if (error.name !== 'AbortError') await stop(sentence(error.message));
  }
}

function connection(state) {
  if (state === 'connected') say('status', 'Running: what you see on the right has been through the server.', 'good');
  if (state === 'disconnected') say('status', 'The media connection is interrupted; waiting for it to come back…', 'bad');
  if (state === 'failed') stop('No way was found between this browser and the server. A firewall between them may drop UDP.');
}

function told(type, data) {
  if (type === 'Error') say('status', `The server reports: ${plainly(data)}`, 'bad');
}

/** Ends what is live. `trouble` tells the person why, when it was not the person who ended it. */
async function stop(trouble) {
  const mine = now;
  if (!mine || mine.call.ended) return;
  setState('stopping');
  for (const track of mine.stream?.getTracks() ?? []) track.stop();
  $('local').srcObject = null;
  $('remote').srcObject = null;
  const ended = mine.call.end();
  watch('loopback', null);
  await ended;
  now = null;
  rivero.error = trouble ?? null;
  if (trouble) {
    say('status', trouble, 'bad');
    note(trouble, true);
  } else say('status', 'Stopped. The pipeline in the server is released.');
  setState('idle');
}

server.addEventListener('connected', ({ detail: { resumed } }) => {
  if (now && !resumed) stop('The server was started again and knows nothing of this loopback. Start it anew.');
  else if (now) say('status', 'Running: the connection to the server is back.', 'good');
  else if (rivero.error === null) say('status', 'Ready. Press Start loopback.');
  setState(rivero.state);
});
server.addEventListener('lost', ({ detail: { seconds } }) => {
  rivero.error = null;
  say('status', `The server does not answer. Trying again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}…`, 'bad');
  setState(rivero.state);
});

$('start').addEventListener('click', start);
$('stop').addEventListener('click', () => stop());
$('hear').addEventListener('change', (e) => { $('remote').muted = !e.target.checked; });
setState('idle');
