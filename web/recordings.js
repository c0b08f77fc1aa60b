// The recordings that the server keeps for this page: the list, and what can be done with each.
import { $, clock, rivero, say, server, size } from './page.js';
import { open } from './player.js';

/** What browsers show by themselves. */
const SHOWN = /\.(webm|mp4)$/i;
const where = (name) => `recordings/${encodeURIComponent(name)}`;

let uri = null; // below which the server records; null: it does not

/** The URI of a recording in the server, or null where it keeps none. */
export const uriOf = (name) => uri && uri + encodeURIComponent(name);

/** How many bytes a recording has by now; null where that cannot be said. */
export async function bytesOf(name) {
  const answer = await fetch(where(name), { method: 'HEAD' }).catch(() => null);
  return answer?.ok ? Number(answer.headers.get('content-length')) : null;
}

async function ask() {
  const answer = await fetch('recordings', { headers: { accept: 'application/json' } });
  if (answer.ok) return answer.json();
  const { error } = await answer.json().catch(() => ({}));
  throw new Error(error ?? 'This server keeps no recordings for the page: its configuration names no directory for them (mediaServer.demo.recordings).');
}

/** Reads the list anew; `latest` is the name of one that was just made. */
export async function refresh(latest) {
  try {
    const list = await ask();
    uri = list.uri;
    rivero.recordings = list.recordings;
    show(list.recordings, latest);
    say('recordings-status', list.recordings.length ? '' : 'No recordings yet.');
  } catch (error) {
    uri = null;
    rivero.recordings = null;
    show([]);
    say('recordings-status', error instanceof TypeError ? 'The list cannot be read: the server does not answer.' : error.message, 'bad');
  }
  document.dispatchEvent(new CustomEvent('recordings', { detail: { possible: uri !== null } }));
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function row({ name, bytes, modified, duration }, latest) {
  const play = element('button', { type: 'button', textContent: 'Play' });
  play.setAttribute('aria-label', `Play ${name} through the server`);
  play.addEventListener('click', () => {
    $('film').value = uriOf(name);
    open(uriOf(name), name);
    const show = () => $('screen').scrollIntoView({ block: 'nearest' });
    if (location.hash === '#play') show();
    else window.addEventListener('hashchange', show, { once: true });
    location.hash = 'play';
  });
  const links = element('span', { className: 'links' });
  if (SHOWN.test(name)) links.append(element('a', { href: where(name), target: '_blank', rel: 'noopener', textContent: 'Open', ariaLabel: `Open ${name} in this browser` }));
  links.append(element('a', { href: where(name), download: name, textContent: 'Download', ariaLabel: `Download ${name}` }));
  const when = new Date(modified);
  const time = element('time', { dateTime: when.toISOString(), textContent: when.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' }) });
  const cell = (label, ...content) => {
    const made = element('td', {}, ...content);
    made.dataset.label = label;
    return made;
  };
  const made = element('tr', { className: name === latest ? 'latest' : '' },
    element('th', { scope: 'row', textContent: name }),
    cell('Duration', duration === null ? '–' : clock(duration)), cell('Size', size(bytes)), cell('Date', time), cell('', element('span', { className: 'actions' }, play, links)));
  made.dataset.name = name;
  return made;
}

function show(list, latest) {
  $('recordings-table').hidden = !list.length;
  $('recordings-list').replaceChildren(...list.map((recording) => row(recording, latest)));
}

$('recordings-refresh').addEventListener('click', () => refresh());
server.addEventListener('connected', () => refresh());
server.addEventListener('lost', () => say('recordings-status', 'The list cannot be read: the server does not answer.', 'bad'));
