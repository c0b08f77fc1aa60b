// Walks fixtures/golden: dialogues written as they are on the wire. What the server answers must be equal character by
// character, so member order and number formats count, once ids and times are replaced. How a file is written:
//   # title of the step     > a frame to send        < the answer        ! an event       !B an event on connection B
//   @ A                     go on with connection A, opened at its first mention
// In the text: <n> the running request number; <name=pattern> something to remember, <name> the same again;
// <sorted:a,b> remembered ids in the order of their text; <pattern> anything of that form (the patterns stand below).
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import WebSocket from 'ws';
import { root, startServer } from './server.mjs';

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
const PATTERNS = {
  uuid: UUID,
  ms: '\\d{13}',
  seconds: '\\d{10}',
  digits: '\\d+',
  number: '-?\\d+(?:\\.\\d+)?(?:e-?\\d+)?',
  string: '(?:[^"\\\\]|\\\\.)*',
};
const ANSWER_MS = 5_000;
const folder = path.join(root, 'fixtures/golden');

/** Steps of one file: { title, conn, send, answer, events: [{ conn, pattern }] }. */
export function parse(text) {
  const steps = [];
  let conn = 'A';
  let title = '';
  for (const line of text.split('\n')) {
    const mark = line[0];
    const rest = line.slice(2);
    if (mark === '#') title = rest;
    else if (mark === '@') conn = rest.trim();
    else if (mark === '>') steps.push({ title, conn, send: rest, answer: null, events: [] });
    else if (mark === '<') steps.at(-1).answer = rest;
    else if (mark === '!') {
      const space = line.indexOf(' ');
      steps.at(-1).events.push({ conn: line.slice(1, space) || conn, pattern: line.slice(space + 1) });
    } else assert.equal(line.trim(), '', `a line that is neither title nor frame: ${line}`);
  }
  return steps;
}

const escape = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
const PLACEHOLDER = /<(sorted:[a-zA-Z0-9,]+|[a-zA-Z][a-zA-Z0-9]*)(?:=([a-zA-Z0-9:/]+))?>/g;

class Dialogue {
  known = new Map();
  n = 0;

  #value(name) {
    if (name === 'n') return String(this.n);
    if (name.startsWith('sorted:')) return name.slice(7).split(',').map((x) => this.known.get(x)).sort().map((x) => `"${x}"`).join(',');
    assert.ok(this.known.has(name), `<${name}> was never remembered: an earlier step failed, or the fixture is wrong`);
    return this.known.get(name);
  }

  outgoing(text) {
    if (text.includes('<n>')) this.n += 1;
    return text.replace(PLACEHOLDER, (_, name) => this.#value(name));
  }

  /** A regular expression for the whole frame, and the names that it captures in order. */
  incoming(text) {
    const names = [];
    let source = '';
    let at = 0;
    for (const m of text.matchAll(PLACEHOLDER)) {
      source += escape(text.slice(at, m.index));
      at = m.index + m[0].length;
      const [, name, pattern] = m;
      if (pattern === undefined) source += PATTERNS[name] ?? escape(this.#value(name));
      else if (names.includes(name)) source += `\\${names.indexOf(name) + 1}`;
      else {
        source += `(${this.#capture(pattern, names)})`;
        names.push(name);
      }
    }
    // A name that this same frame captures may be used again further on in it.
    return { regexp: new RegExp(`^${source}${escape(text.slice(at))}$`, 's'), names };
  }

  #capture(pattern, names) {
    if (!pattern.startsWith('id:')) return PATTERNS[pattern] ?? assert.fail(`no pattern named ${pattern}`);
    const [parent, type] = pattern.slice(3).includes('/') ? pattern.slice(3).split('/') : [null, pattern.slice(3)];
    const own = `${UUID}_kurento\\.${type}`;
    if (!parent) return own;
    return names.includes(parent) ? `\\${names.indexOf(parent) + 1}/${own}` : `${escape(this.#value(parent))}/${own}`;
  }

  match(text, expected) {
    const marked = markOwn(expected);
    const { regexp, names } = this.incoming(marked);
    const m = regexp.exec(text);
    if (!m) return false;
    names.forEach((name, i) => this.known.set(name, m[i + 1]));
    return true;
  }

  readable(expected) {
    return markOwn(expected).replace(/<(sorted:[a-zA-Z0-9,]+|[a-zA-Z][a-zA-Z0-9]*)>/g, (all, name) => (name === 'n' || this.known.has(name) || name.startsWith('sorted:') ? this.#value(name) : all));
  }
}

/** Within one frame, <x> after <x=pattern> means the same text: written again as <x=pattern>, it becomes a back reference. */
function markOwn(text) {
  const own = new Map();
  return text.replace(PLACEHOLDER, (all, name, pattern) => {
    if (pattern !== undefined) {
      own.set(name, pattern);
      return all;
    }
    return own.has(name) ? `<${name}=${own.get(name)}>` : all;
  });
}

class Connection {
  frames = [];
  #waiting = [];

  static async open(url) {
    const c = new Connection();
    c.socket = new WebSocket(url, { perMessageDeflate: false });
    await new Promise((resolve, reject) => c.socket.once('open', resolve).once('error', reject));
    c.socket.on('message', (data) => {
      c.frames.push(data.toString());
      c.#waiting.splice(0).forEach((w) => w());
    });
    c.socket.on('close', () => c.#waiting.splice(0).forEach((w) => w()));
    return c;
  }

  /** Takes the first frame for which `test` holds; undefined when none came in time. */
  async take(test, ms = ANSWER_MS) {
    const until = Date.now() + ms;
    for (;;) {
      const i = this.frames.findIndex(test);
      if (i >= 0) return this.frames.splice(i, 1)[0];
      const left = until - Date.now();
      if (left <= 0 || this.socket.readyState !== WebSocket.OPEN) return undefined;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => { clearTimeout(timer); resolve(); });
      });
    }
  }
}

const isEvent = (frame) => frame.includes('"method":"onEvent"');

async function walk(t, file) {
  const steps = parse(fs.readFileSync(path.join(folder, file), 'utf8'));
  assert.ok(steps.length > 0 && steps.every((s) => s.answer !== null), `${file}: every frame sent needs an answer`);
  const server = await startServer({ interfaces: null });
  const dialogue = new Dialogue();
  const connections = new Map();
  const connect = async (name) => {
    if (!connections.has(name)) connections.set(name, await Connection.open(server.url));
    return connections.get(name);
  };
  try {
    for (const [i, step] of steps.entries()) {
      await t.test(`${i + 1} ${step.title}`, async () => {
        const connection = await connect(step.conn);
        connection.socket.send(dialogue.outgoing(step.send));
        const answer = await connection.take((f) => !isEvent(f));
        assert.ok(answer !== undefined, `no answer within ${ANSWER_MS} ms to ${step.send}`);
        if (!dialogue.match(answer, step.answer)) assert.equal(answer, dialogue.readable(step.answer));
        for (const { conn, pattern } of step.events) {
          const frame = await (await connect(conn)).take((f) => isEvent(f) && dialogue.match(f, pattern));
          assert.ok(frame !== undefined, `this event did not come: ${dialogue.readable(pattern)}\nwaiting were: ${connections.get(conn).frames.join('\n')}`);
        }
      });
    }
    await t.test('nothing more has arrived', async () => {
      for (const [name, connection] of connections) {
        // The answer to a last ping marks the place up to which the connection has been read.
        connection.socket.send('{"jsonrpc":"2.0","id":"last","method":"ping"}');
        assert.ok(await connection.take((f) => f.includes('"id":"last"')), `connection ${name} answers no more`);
        assert.deepEqual(connection.frames, [], `unexpected frames on connection ${name}`);
      }
    });
  } finally {
    for (const connection of connections.values()) connection.socket.terminate();
    await server.stop();
  }
}

const files = fs.readdirSync(folder).filter((f) => f.endsWith('.golden')).sort();
assert.ok(files.length > 0, `no dialogues in ${folder}`);
for (const file of files) test(`golden: ${file.replace('.golden', '')}`, { timeout: 120_000 }, (t) => walk(t, file));
