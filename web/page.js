// What all parts of the page share: the server, words for the person, and what tests and curious people may look at.
import { Server } from './protocol.js';

export const $ = (id) => document.getElementById(id);
const LOG_LINES = 200;

/** For tests and for curious people at the console. */
export const rivero = { state: 'idle', server: 'connecting', stats: null, events: [], error: null, player: null, recorder: null, recordings: null };
window.rivero = rivero;

export const server = new Server(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/kurento`);

/** Puts a sentence into a status line. `kind`: quiet, good or bad. */
export function say(id, text, kind = 'quiet') {
  const status = $(id);
  status.textContent = text;
  status.dataset.kind = kind;
}

/** A line in the list of events. */
export function note(text, bad = false) {
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

/** What an `Error` event says, without the code and the names of objects that Kurento's descriptions have around it. */
export const plainly = ({ description }) => description.replace(/^Error code \d+: /, '').replace(/, source: .*$/s, '');

export const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}`;

/**
 * For people without a mouse: a focused button of `group` that is disabled hands the focus on to the first of `heirs` that is not,
 * now or when there is one. Returns what is to be called whenever buttons have been enabled or disabled.
 */
export function heirsOf(group, heirs) {
  let owed = false;
  return () => {
    const holder = group.map($).find((button) => button === document.activeElement);
    if (holder) owed = holder.disabled;
    else if (document.activeElement !== document.body) owed = false;
    const heir = owed && heirs.map($).find((button) => !button.disabled);
    if (!heir) return;
    owed = false;
    heir.focus();
  };
}

/** 0:07, 12:34, 1:02:03 */
export function clock(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (n) => String(n).padStart(2, '0');
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** 812 kB, 1.4 MB */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  for (const [unit, worth] of [['kB', 1e3], ['MB', 1e6], ['GB', 1e9]]) {
    if (bytes < worth * 1000 || unit === 'GB') return `${(bytes / worth).toFixed(bytes < worth * 10 ? 1 : 0)} ${unit}`;
  }
}

// Before all others that listen: they read rivero.server.
server.addEventListener('connected', () => {
  note(rivero.server === 'lost' ? 'the server is back' : 'connected to the server');
  rivero.server = 'connected';
});
server.addEventListener('lost', () => {
  if (rivero.server !== 'lost') note('the server is gone', true);
  rivero.server = 'lost';
});
