// Headless Firefox for the tests, with a made-up camera and microphone, driven by WebDriver BiDi, which it speaks itself.
import WebSocket from 'ws';
import fs from 'node:fs';
import path from 'node:path';
import { launch, newPage } from './browser.mjs';
import { makeNamespace } from './namespace.mjs';
import { Rpc } from './rpc.mjs';
import { binary, startServer } from './server.mjs';

const START_MS = 30_000;
const PREFS = {
  // A picture whose colour changes and a tone, and no question whether a page may have them.
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  // Addresses instead of mDNS names, which nobody in the namespace resolves.
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  // No first-run pages, no updates, no reports, no look-ups.
  'app.update.enabled': false,
  'app.normandy.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.page': 0,
  'browser.aboutwelcome.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.safebrowsing.downloads.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'datareporting.healthreport.uploadEnabled': false,
  'extensions.update.enabled': false,
  'extensions.getAddons.cache.enabled': false,
  'media.gmp-manager.updateEnabled': false,
  'media.gmp-manager.url': '',
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.dns.disablePrefetch': true,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.enabled': false,
};

/** Replies to commands by their id; the connection of one session. */
class BiDi {
  #socket;
  #next = 1;
  #pending = new Map();

  static async open(url, headers) {
    const bidi = new BiDi();
    bidi.#socket = new WebSocket(url, { perMessageDeflate: false, headers });
    await new Promise((resolve, reject) => bidi.#socket.once('open', resolve).once('error', reject));
    bidi.#socket.on('message', (data) => {
      const message = JSON.parse(data.toString());
      const pending = bidi.#pending.get(message.id);
      bidi.#pending.delete(message.id);
      if (message.type === 'error') pending?.reject(new Error(`${pending.method}: ${message.error}: ${message.message}`));
      else pending?.resolve(message.result);
    });
    bidi.#socket.on('close', () => {
      for (const { reject, method } of bidi.#pending.values()) reject(new Error(`${method}: Firefox closed the connection`));
      bidi.#pending.clear();
    });
    bidi.#socket.on('error', () => {});
    return bidi;
  }

  send(method, params = {}, timeoutMs = 30_000) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new Error(`${method}: no answer of Firefox within ${timeoutMs} ms`));
      }, timeoutMs);
      const settle = (how) => (value) => { clearTimeout(timer); how(value); };
      this.#pending.set(id, { resolve: settle(resolve), reject: settle(reject), method });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  close() {
    this.#socket.terminate();
  }
}

/** Starts Firefox inside a namespace and gives one page, which answers to `goto` and `evaluate` as one of Playwright's. */
export async function launchFirefox(namespace) {
  const profile = fs.mkdtempSync(path.join(namespace.dir, 'firefox-'));
  const lines = Object.entries(PREFS).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`);
  fs.writeFileSync(path.join(profile, 'user.js'), lines.join(''));
  const file = process.env.FIREFOX ?? '/usr/bin/firefox-esr';
  const child = namespace.spawn(file, ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0'], {
    env: { ...process.env, HOME: profile, MOZ_HEADLESS: '1', MOZ_CRASHREPORTER_DISABLE: '1', DISPLAY: '', DBUS_SESSION_BUS_ADDRESS: '' },
  });
  let log = '';
  const port = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Firefox offered no WebDriver BiDi within ${START_MS} ms:\n${log.slice(-2000)}`)), START_MS);
    const hear = (data) => {
      log += data;
      const found = /WebDriver BiDi listening on ws:\/\/127\.0\.0\.1:(\d+)/.exec(log);
      if (found) { clearTimeout(timer); resolve(Number(found[1])); }
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.ended.then(() => { clearTimeout(timer); reject(new Error(`Firefox ended:\n${log.slice(-2000)}`)); });
  });
  // It answers only to those who call it by the name under which it listens.
  const bidi = await BiDi.open(await namespace.webSocket(port, '/session'), { Host: `127.0.0.1:${port}` });
  const { capabilities } = await bidi.send('session.new', { capabilities: {} });
  const { contexts: [{ context }] } = await bidi.send('browsingContext.getTree');
  return {
    version: capabilities.browserVersion,
    goto: (url) => bidi.send('browsingContext.navigate', { context, url, wait: 'complete' }),

    /** Calls a function in the page with one value and returns what it returns, both as JSON. */
    async evaluate(fn, value = null) {
      const reply = await bidi.send('script.callFunction', {
        functionDeclaration: `async (value) => JSON.stringify(await (${fn})(JSON.parse(value)) ?? null)`,
        arguments: [{ type: 'string', value: JSON.stringify(value) }],
        target: { context },
        awaitPromise: true,
        userActivation: true,
      });
      if (reply.type === 'exception') throw new Error(`in Firefox: ${reply.exceptionDetails.text}`);
      return JSON.parse(reply.result.value);
    },

    async close() {
      bidi.close();
      child.kill('SIGTERM');
      await child.ended;
    },
  };
}

/**
 * A server, a page of each browser on the server's own site, and a connection between test and server, in a namespace. All of it is
 * put into `there` as it is made, so that `leaveTwo` ends also what was only begun.
 */
export async function furnishTwo(there) {
  const { RIVERO_BIN, CHROMIUM } = process.env;
  Object.assign(there, { namespace: makeNamespace(), pages: {} });
  const { namespace, pages } = there;
  try {
    process.env.RIVERO_BIN = namespace.wrap(binary());
    process.env.CHROMIUM = namespace.wrap(CHROMIUM ?? '/usr/bin/chromium');
    [there.server, there.chromium, pages.firefox] = await Promise.all([startServer({ interfaces: namespace.interface }), launch(), launchFirefox(namespace)]);
  } finally {
    for (const [name, value] of Object.entries({ RIVERO_BIN, CHROMIUM })) {
      if (value === undefined) delete process.env[name]; else process.env[name] = value;
    }
  }
  pages.chromium = await newPage(there.chromium);
  there.rpc = await Rpc.open(await namespace.webSocket(there.server.port, '/kurento'));
  for (const page of Object.values(pages)) await page.goto(`${there.server.http}/`);
}

/** Ends what `furnishTwo` began. */
export async function leaveTwo({ namespace, server, chromium, rpc, pages }) {
  await rpc?.close();
  await pages?.firefox?.close();
  await chromium?.close();
  try {
    await server?.stop();
  } finally {
    await namespace?.end();
  }
}
