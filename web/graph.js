// Draws the pipeline: reads the Graphviz text that the server gives, finds a place for every element, and makes SVG of it.
// The text goes in, elements of an <svg> come out; nothing here knows the server.

/** Reads the part of Graphviz' language that matters here: nodes, edges, clusters and their labels. */
function readDot(text) {
  const tokens = text.match(/\/\*[^]*?\*\/|\/\/[^\n]*|"(?:[^"\\]|\\[^])*"|->|--|[{}[\];,=:]|[^\s{}[\];,=:"]+/g) ?? [];
  const words = tokens.filter((t) => !t.startsWith('//') && !t.startsWith('/*'));
  const nodes = new Map(), edges = [], clusters = [];
  let at = 0;
  const plain = (t) => (t.startsWith('"') ? t.slice(1, -1).replace(/\\"/g, '"').replace(/\\[lrn]/g, '\n').replace(/\\\\/g, '\\') : t);
  const node = (id, cluster) => {
    if (!nodes.has(id)) nodes.set(id, { id, label: id, cluster: null });
    if (cluster) nodes.get(id).cluster ??= cluster;
    return nodes.get(id);
  };
  const attributes = () => {
    const found = {};
    while (words[at] === '[') {
      at += 1;
      while (at < words.length && words[at] !== ']') {
        if (words[at + 1] === '=') {
          found[plain(words[at])] = plain(words[at + 2] ?? '');
          at += 3;
        } else at += 1;
      }
      at += 1;
    }
    return found;
  };
  const statements = (cluster) => {
    while (at < words.length && words[at] !== '}') {
      const word = words[at];
      if (word === ';' || word === ',') at += 1;
      else if (word === '{' || /^subgraph$/i.test(word)) {
        const name = word === '{' ? '' : words[at + 1] === '{' ? '' : plain(words[at + 1]);
        while (words[at] !== '{' && at < words.length) at += 1;
        at += 1;
        const inner = { name, label: '' };
        if (name.startsWith('cluster')) clusters.push(inner);
        statements(name.startsWith('cluster') ? inner : cluster);
        at += 1;
      } else if (/^(graph|node|edge)$/i.test(word) && words[at + 1] === '[') {
        at += 1;
        const found = attributes();
        if (/^graph$/i.test(word) && cluster && found.label) cluster.label = found.label;
      } else if (words[at + 1] === '=') {
        if (cluster && word === 'label') cluster.label = plain(words[at + 2] ?? '');
        at += 3;
      } else chain(cluster);
    }
  };
  const port = () => { // "id:port:side" is the node "id"
    while (words[at] === ':') at += 2;
  };
  const chain = (cluster) => {
    const ids = [plain(words[at++])];
    port();
    while (words[at] === '->' || words[at] === '--') {
      ids.push(plain(words[at + 1] ?? ''));
      at += 2;
      port();
    }
    const found = attributes();
    for (const id of ids) node(id, cluster);
    if (ids.length === 1) Object.assign(nodes.get(ids[0]), 'label' in found ? { label: found.label } : {});
    for (let i = 1; i < ids.length; i++) edges.push({ from: ids[i - 1], to: ids[i], label: found.label ?? '', dotted: /dotted|dashed/.test(found.style ?? '') });
  };
  while (at < words.length && words[at] !== '{') at += 1;
  at += 1;
  statements(null);
  return { nodes: [...nodes.values()], edges, clusters };
}

/** Columns by the longest way from a source; edges that close a ring are left out of the count. */
function rank(nodes, edges) {
  const next = new Map(nodes.map((n) => [n.id, []]));
  for (const e of edges) if (e.from !== e.to) next.get(e.from).push(e);
  const mark = new Map(), order = [];
  const visit = (id) => {
    mark.set(id, 'open');
    for (const e of next.get(id)) {
      if (mark.get(e.to) === 'open') e.back = true;
      else if (!mark.has(e.to)) visit(e.to);
    }
    mark.set(id, 'done');
    order.unshift(id);
  };
  for (const n of nodes) if (!mark.has(n.id)) visit(n.id);
  const column = new Map(nodes.map((n) => [n.id, 0]));
  for (const id of order) for (const e of next.get(id)) if (!e.back) column.set(e.to, Math.max(column.get(e.to), column.get(id) + 1));
  return column;
}

const LINE = 17, PAD = 12, CHAR = 7.4, GAP_Y = 34, LABEL_CHAR = 6.6, LOOP = 22;

/** Of a Kurento id, which is as long as the line of its ancestors, the part that tells objects apart. */
const shorten = (line) => line.replace(/^(?:.*\/)?([0-9a-f]{8})-[0-9a-f-]{27}_\w+\.\w+$/, '$1…');

function place(graph) {
  const column = rank(graph.nodes, graph.edges);
  const columns = [];
  for (const n of graph.nodes) {
    n.lines = n.label.split('\n').map(shorten).map((l) => (l.length > 44 ? l.slice(0, 43) + '…' : l)).filter((l) => l !== '');
    n.w = Math.max(80, ...n.lines.map((l) => l.length * CHAR)) + 2 * PAD;
    n.h = n.lines.length * LINE + 2 * PAD;
    n.loops = graph.edges.filter((e) => e.from === n.id && e.to === n.id).length;
    (columns[column.get(n.id)] ??= []).push(n);
  }
  const byId = new Map(graph.nodes.map((n) => [n.id, n]));
  // Columns stand with their middles on one line; arcs over the topmost node stick out above it.
  const body = (nodes) => nodes.reduce((sum, n) => sum + n.loops * LOOP + n.h + GAP_Y, -GAP_Y - nodes[0].loops * LOOP);
  const above = (nodes) => nodes[0].loops * LOOP + body(nodes) / 2;
  const middle = 24 + Math.max(...columns.map(above), ...(graph.clusters.length ? [60] : []));
  let x = 20;
  for (const [i, nodes] of columns.entries()) {
    // A node stands near the middle of what feeds it.
    const pull = (n) => {
      const before = graph.edges.filter((e) => e.to === n.id && !e.back && e.from !== n.id).map((e) => byId.get(e.from).y ?? 0);
      return before.length ? before.reduce((a, b) => a + b) / before.length : 0;
    };
    if (i > 0) nodes.sort((a, b) => pull(a) - pull(b));
    const widest = Math.max(...nodes.map((n) => n.w));
    let y = middle - above(nodes);
    for (const n of nodes) {
      y += n.loops * LOOP;
      Object.assign(n, { x: x + (widest - n.w) / 2, y });
      y += n.h + GAP_Y;
    }
    const length = (e) => e.label.length * LABEL_CHAR;
    const leaving = graph.edges.filter((e) => e.from !== e.to && column.get(e.from) === i);
    const rings = graph.edges.filter((e) => e.from === e.to && column.get(e.from) === i);
    x += widest + Math.max(90, ...leaving.map((e) => length(e) + 40), ...rings.map((e) => length(e) + 40));
  }
  return byId;
}

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [k, v] of Object.entries(attributes)) element.setAttribute(k, v);
  element.append(...children);
  return element;
}

function drawEdge(e, byId, turn, below) {
  const a = byId.get(e.from), b = byId.get(e.to);
  const kind = /audio/i.test(e.label) ? 'audio' : /video/i.test(e.label) ? 'video' : /data/i.test(e.label) ? 'data' : 'plain';
  let path, lx, ly, anchor = 'middle';
  if (a === b) { // arcs over the node, one above the other
    const rise = 18 + turn * LOOP, reach = 26 + turn * 12, middle = a.x + a.w / 2;
    const left = Math.max(a.x + 10, middle - reach), right = Math.min(a.x + a.w - 10, middle + reach);
    path = `M ${right} ${a.y} C ${right + 10} ${a.y - rise * 1.3}, ${left - 10} ${a.y - rise * 1.3}, ${left} ${a.y}`;
    [lx, ly, anchor] = [Math.min(a.x + a.w, middle + 26 + e.beside * 12) + 8, a.y - rise + 10, 'start'];
  } else if (e.back) { // a ring closes under everything
    const deep = below + 18 + turn * 22, x1 = a.x + a.w / 2, x2 = b.x + b.w / 2;
    path = `M ${x1} ${a.y + a.h} C ${x1} ${deep + 16}, ${x2} ${deep + 16}, ${x2} ${b.y + b.h}`;
    [lx, ly] = [(x1 + x2) / 2, deep];
  } else {
    const shift = (turn - (e.beside - 1) / 2) * 20;
    const x1 = a.x + a.w, x2 = b.x, y1 = a.y + a.h / 2 + shift, y2 = b.y + b.h / 2 + shift, bend = (x2 - x1) / 2;
    path = `M ${x1} ${y1} C ${x1 + bend} ${y1}, ${x2 - bend} ${y2}, ${x2} ${y2}`;
    [lx, ly] = [(x1 + x2) / 2, (y1 + y2) / 2 - 4];
  }
  const label = svg('text', { x: lx, y: ly, 'text-anchor': anchor });
  label.textContent = e.label.replace(/\n/g, ' ');
  return { right: lx + (anchor === 'start' ? 1 : 0.5) * label.textContent.length * LABEL_CHAR, bottom: e.back ? ly + 20 : 0,
    element: svg('g', { class: `edge ${kind}${e.dotted ? ' dotted' : ''}` }, svg('path', { d: path, 'marker-end': 'url(#arrow)' }), label) };
}

/** Draws `dot` into the <svg> element `canvas`, and says the same in words for those who cannot see it. */
export function drawGraph(canvas, dot) {
  const graph = readDot(dot);
  const byId = place(graph);
  const parts = [svg('defs', {}, svg('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto' }, svg('path', { d: 'M 0 0 L 8 4 L 0 8 z' })))];
  let right = 200, bottom = 60;
  const grow = (x, y) => {
    right = Math.max(right, x + 20);
    bottom = Math.max(bottom, y + 20);
  };
  for (const cluster of graph.clusters) {
    const inside = graph.nodes.filter((n) => n.cluster === cluster);
    if (!inside.length) continue;
    const x = Math.min(...inside.map((n) => n.x)) - 10, y = Math.min(...inside.map((n) => n.y - n.loops * LOOP)) - 24;
    const w = Math.max(...inside.map((n) => n.x + n.w)) + 10 - x, h = Math.max(...inside.map((n) => n.y + n.h)) + 10 - y;
    const label = svg('text', { x: x + 8, y: y + 15 });
    label.textContent = cluster.label.split('\n')[0];
    parts.push(svg('g', { class: 'cluster' }, svg('rect', { x, y, width: w, height: h, rx: 8 }), label));
    grow(x + w, y + h);
  }
  const floor = Math.max(0, ...graph.nodes.map((n) => n.y + n.h));
  const key = (e) => (e.back ? 'back' : e.from + '\u0000' + e.to);
  const count = new Map(), total = new Map();
  for (const e of graph.edges) total.set(key(e), (total.get(key(e)) ?? 0) + 1);
  for (const e of graph.edges) {
    const turn = count.get(key(e)) ?? 0;
    count.set(key(e), turn + 1);
    e.beside = total.get(key(e));
    const drawn = drawEdge(e, byId, turn, floor);
    parts.push(drawn.element);
    grow(drawn.right, drawn.bottom);
  }
  for (const n of graph.nodes) {
    const box = svg('g', { class: 'node' }, svg('rect', { x: n.x, y: n.y, width: n.w, height: n.h, rx: 6 }));
    n.lines.forEach((line, i) => {
      const text = svg('text', { x: n.x + n.w / 2, y: n.y + PAD + LINE * (i + 0.75), 'text-anchor': 'middle' });
      text.textContent = line;
      box.append(text);
    });
    parts.push(box);
    grow(n.x + n.w, n.y + n.h);
  }
  canvas.setAttribute('viewBox', `0 0 ${Math.ceil(right)} ${Math.ceil(bottom)}`);
  canvas.setAttribute('width', Math.ceil(right));
  canvas.setAttribute('height', Math.ceil(bottom));
  const words = graph.edges.map((e) => `${byId.get(e.from).lines[0] ?? e.from} to ${byId.get(e.to).lines[0] ?? e.to}: ${e.label}`);
  canvas.setAttribute('aria-label', `${graph.nodes.length} elements. ${words.join('; ')}`);
  canvas.replaceChildren(...parts);
}
