// The live figures and the drawing of the pipeline, of whichever call belongs to the part of the page that is shown.
import { $, note, rivero, server } from './page.js';
import { drawGraph } from './graph.js';
import { readFigures, showFigures } from './figures.js';

const FIGURES_MS = 1000;
const GRAPH_MS = 2000;

const calls = new Map();
let shown = 'loopback';
let before; // the reading before

/** Says which call belongs to a part of the page: none any more with null. */
export function watch(part, call) {
  calls.set(part, call);
  if (part === shown) begin();
}

/** Shows another part of the page. */
export function look(part) {
  if (part === shown) return;
  shown = part;
  begin();
}

const current = () => {
  const call = calls.get(shown);
  return call && !call.ended ? call : null;
};

function begin() {
  before = undefined;
  rivero.stats = null;
  showFigures(null);
  $('graph').replaceChildren();
  $('graph').setAttribute('aria-label', 'No pipeline');
  $('graph').classList.toggle('none', !current());
  $('graph-none').hidden = current() !== null;
  redraw();
}

async function measure() {
  const call = current();
  if (!call?.peer) return;
  const { figures, now } = readFigures(await call.peer.getStats(), before);
  if (current() !== call) return;
  before = now;
  rivero.stats = figures;
  showFigures(figures);
}

async function redraw() {
  const call = current();
  if (!call || !server.connected) return;
  try {
    const dot = await server.invoke(call.pipeline, 'getGstreamerDot');
    if (current() === call) drawGraph($('graph'), dot);
  } catch (error) {
    if (current() === call && server.connected) note(`the pipeline cannot be drawn: ${error.message}`, true);
  }
}

setInterval(measure, FIGURES_MS);
setInterval(redraw, GRAPH_MS);
