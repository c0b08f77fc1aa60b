// Kurento's own JavaScript clients, one dependency tree a version.
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

/** The versions under test, oldest first. */
export const VERSIONS = ['6.18', '7.3'];

export const treeOf = (version) => path.join(here, `kurento-${version}`);

const loaded = new Map();

/** The `kurento-client` package of a version. Its chatter on console.log is left out of the test report. */
export function kurento(version) {
  if (!loaded.has(version)) {
    const require = createRequire(path.join(treeOf(version), 'package.json'));
    const installed = require('kurento-client/package.json').version;
    if (!installed.startsWith(version)) throw new Error(`kurento-${version} holds kurento-client ${installed}`);
    loaded.set(version, require('kurento-client'));
  }
  return loaded.get(version);
}

const CHATTER = /reconnect to server|notReconnectIfNumLessThan|Trying to send ping|Server did not respond to ping/;
const say = console.log;
console.log = (...words) => {
  if (!CHATTER.test(String(words[0]))) say(...words);
};

/**
 * Connects as an application does: strict, so that every module the client knows must be there. What the callback gets
 * is a copy without `then` and without what was not enumerable; `whole` is the client itself (awaiting it unwraps it again).
 */
export function connect(version, url, options = {}) {
  return new Promise((resolve, reject) => {
    const whole = kurento(version)(url, { request_timeout: 10_000, ...options }, (error, client) => {
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
