// Kurento's own JavaScript clients, one dependency tree a version.
import domain from 'node:domain';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

/** The versions under test, oldest first. */
export const VERSIONS = ['6.18', '7.3'];

export const treeOf = (version) => path.join(here, `kurento-${version}`);

// The clients derive their Transaction from Node's `Domain` as one did before classes, by calling it without `new`, which
// the class that it has become refuses. They carry a stand-in for where there is no `Domain`, as in browsers: without it
// here, their own code runs as it was published.
domain.Domain = undefined;

const loaded = new Map();

/** The `kurento-client` package of a version. Its chatter on the console is left out of the test report. */
export function kurento(version) {
  if (!loaded.has(version)) {
    const require = createRequire(path.join(treeOf(version), 'package.json'));
    const installed = require('kurento-client/package.json').version;
    if (!installed.startsWith(version)) throw new Error(`kurento-${version} holds kurento-client ${installed}`);
    loaded.set(version, require('kurento-client'));
  }
  return loaded.get(version);
}

const CHATTER = /reconnect to server|Invalid Session|notReconnectIfNumLessThan|Trying to send ping|Server did not respond to ping|Could not check/;
for (const level of ['log', 'warn']) {
  const say = console[level];
  console[level] = (...words) => {
    if (!CHATTER.test(String(words[0]))) say.apply(console, words);
  };
}

// Called without a callback, the clients' methods print an error with console.trace and then succeed with nothing. Kept
// here, such an error can still fail the test in which it happened.
let swallowed = [];
console.trace = (...words) => swallowed.push(words[0]);

/** The errors that the clients swallowed since the last call. */
export function takeSwallowed() {
  const taken = swallowed;
  swallowed = [];
  return taken;
}

/**
 * What a method of a media object or client tells its callback, as a promise. With a transaction before the other
 * arguments it must be asked so: the clients mistake the last argument for the callback when there is none.
 */
export function answer(object, method, ...args) {
  return new Promise((resolve, reject) => {
    object[method](...args, (error, value) => {
      if (error) reject(error);
      else resolve(value);
    });
  });
}

/** The error with which such a method ends; rejects when it succeeds. */
export function refusal(object, method, ...args) {
  return answer(object, method, ...args).then(() => Promise.reject(new Error(`${method} was to be refused, and succeeded`)), (error) => error);
}

/**
 * Connects as an application does: strict, so that every module the client knows must be there. What the callback gets
 * is a copy without `then` and without what was not enumerable; `whole` is the client itself (awaiting it unwraps it again).
 * An answer is remembered as answered for a second only: the client's timers for that outlive it and keep the process.
 */
export function connect(version, url, options = {}) {
  return new Promise((resolve, reject) => {
    const whole = kurento(version)(url, { request_timeout: 10_000, duplicates_timeout: 1_000, ...options }, (error, client) => {
      if (error) reject(error);
      else resolve(Object.defineProperty(client, 'whole', { value: whole }));
    });
  });
}

/** The next event of a kind on a media object or client, as a promise. */
export function once(emitter, name, { timeoutMs = 10_000, where = () => true } = {}) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      emitter.removeListener(name, hear);
      reject(new Error(`'${name}' did not come within ${timeoutMs} ms`));
    }, timeoutMs);
    function hear(event) {
      if (!where(event)) return;
      clearTimeout(timer);
      emitter.removeListener(name, hear);
      resolve(event);
    }
    emitter.on(name, hear);
  });
}
