// The page: a client of the server with a part for each thing to try. Each part is a module of its own; this one shows the part
// that the address names, and lists what the server tells.
import { $, note, rivero, server } from './page.js';
import './loopback.js';
import './player.js';
import './recorder.js';
import './recordings.js';
import { look } from './watch.js';

const PARTS = ['loopback', 'play', 'record'];

/** The part after the sign # in the address. */
function turn() {
  const named = location.hash.slice(1);
  const shown = PARTS.includes(named) ? named : PARTS[0];
  document.body.dataset.part = shown;
  for (const part of PARTS) {
    $(`part-${part}`).hidden = part !== shown;
    const link = document.querySelector(`nav a[href="#${part}"]`);
    if (part === shown) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  $('recordings').hidden = shown === 'loopback';
  look(shown);
}

server.addEventListener('event', ({ detail: { type, data, object } }) => {
  rivero.events.push({ type, data, object, at: Date.now() });
  if (rivero.events.length > 1000) rivero.events.shift();
  if (type === 'IceCandidateFound') {
    note(`server candidate ${data.candidate.candidate.split(' ').slice(2, 8).join(' ')}`);
    return;
  }
  const detail = data.newState ?? data.state ?? data.description ?? '';
  note([type, data.mediaType, detail].filter(Boolean).join(' '), type === 'Error');
});

window.addEventListener('hashchange', turn);
turn();
