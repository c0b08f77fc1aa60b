// Starts the built server for a test: a configuration of its own in a temporary folder, a free port, loopback only.
// A test gets the addresses, the log so far, and stop(), which holds the server to a clean end.
import { spawn } from 'node:child_process';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const READY = 'Kurento Media Server started';
const START_MS = 15_000;
const STOP_MS = 5_000;

/** The binary under test: RIVERO_BIN, or what `cargo build` leaves in the target folder. */
export function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');
  const file = process.env.RIVERO_BIN ?? path.join(target, 'debug/rivero');
  assert.ok(fs.existsSync(file), `no server binary at ${file}: run 'cargo build' first, or name one in RIVERO_BIN`);
  return file;
}

/** A TCP port that nobody holds at this moment. */
export async function freePort() {
  const probe = net.createServer();
  await new Promise((resolve, reject) => probe.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/**
 * Writes a configuration folder as Kurento lays it out and returns its path.
 * `modules` maps file names below modules/kurento to their text.
 */
export function writeConfig({ port, resources = {}, media = {}, websocket = {}, demo, modules = {} }) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-test-'));
  const conf = { mediaServer: { resources, net: { websocket: { port, path: 'kurento', threads: 10, ...websocket } }, media: { workers: 2, placement: 'spread', ...media }, ...(demo && { demo }) } };
  fs.writeFileSync(path.join(dir, 'kurento.conf.json'), JSON.stringify(conf, null, 2));
  const folder = path.join(dir, 'modules/kurento');
  fs.mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(modules)) fs.writeFileSync(path.join(folder, name), text);
  return dir;
}

/** Runs the binary to its end and returns { code, signal, stdout, stderr }. For --version and for refusals to start. */
export async function runBinary(args, { env = {}, timeout = START_MS } = {}) {
  const child = spawn(binary(), args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '', stderr = '';
  child.stdout.on('data', (d) => { stdout += d; });
  child.stderr.on('data', (d) => { stderr += d; });
  const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (...end) => resolve(end));
  });
  clearTimeout(timer);
  return { code, signal, stdout, stderr };
}

/**
 * Starts a server and waits until it says that it is ready.
 * Options: `interfaces` (what WebRtcEndpoint may use; null leaves it unset), `within` (a command that runs the one behind it in its
 * own place, as a list of words), and those of writeConfig.
 */
export async function startServer({ interfaces = 'lo', modules = {}, port, args = [], env = {}, within = [], ...config } = {}) {
  port ??= await freePort();
  const files = { ...modules };
  if (interfaces !== null) files['WebRtcEndpoint.conf.ini'] ??= `networkInterfaces=${interfaces}\n`;
  const dir = writeConfig({ port, modules: files, ...config });
  const [command, ...words] = [...within, binary(), '--conf-file', path.join(dir, 'kurento.conf.json'), ...args];
  const child = spawn(command, words, {
    env: { GST_DEBUG_NO_COLOR: '1', ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  let exit = null;
  const watchers = new Set();
  const hear = (data) => {
    log += data;
    for (const w of watchers) w();
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = new Promise((resolve) => child.once('close', (code, signal) => {
    exit = { code, signal };
    for (const w of watchers) w();
    resolve(exit);
  }));
  const tail = () => log.split('\n').slice(-30).join('\n');

  const waitForLog = (text, ms) => new Promise((resolve, reject) => {
    const done = (error) => {
      clearTimeout(timer);
      watchers.delete(check);
      if (error) reject(error); else resolve();
    };
    const check = () => {
      if (log.includes(text)) done();
      else if (exit) done(new Error(`the server ended (code ${exit.code}, signal ${exit.signal}) before it logged '${text}':\n${tail()}`));
    };
    const timer = setTimeout(() => done(new Error(`no '${text}' in the log within ${ms} ms:\n${tail()}`)), ms);
    watchers.add(check);
    check();
  });

  const cleanUp = () => fs.rmSync(dir, { recursive: true, force: true });
  try {
    await waitForLog(READY, START_MS);
  } catch (error) {
    child.kill('SIGKILL');
    await ended;
    cleanUp();
    throw error;
  }
  return {
    url: `ws://127.0.0.1:${port}/kurento`,
    http: `http://127.0.0.1:${port}`,
    port,
    pid: child.pid,
    dir,
    log: () => log,
    waitForLog,
    exited: () => exit,
    /** Sends SIGTERM and asserts exit code 0 within five seconds. */
    async stop(signal = 'SIGTERM') {
      if (exit) {
        cleanUp();
        assert.fail(`the server had already ended: code ${exit.code}, signal ${exit.signal}\n${tail()}`);
      }
      const began = Date.now();
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      const end = await ended;
      clearTimeout(timer);
      cleanUp();
      assert.deepEqual(end, { code: 0, signal: null }, `${signal} should end the server with code 0 within ${STOP_MS} ms (took ${Date.now() - began} ms):\n${tail()}`);
      assert.ok(!/panicked at/.test(log), `the server panicked on the way:\n${log.match(/.*panicked at[^]{0,400}/)?.[0]}`);
      return Date.now() - began;
    },
    /** Ends the server at once, for tests of what clients do then. */
    async kill() {
      child.kill('SIGKILL');
      await ended;
      cleanUp();
    },
    /** CPU time of the server so far, in seconds, user and system, from /proc. */
    cpuSeconds() {
      const fields = fs.readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    /** Resident memory in KiB, from /proc. */
    residentKiB() {
      return Number(fs.readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);
    },
  };
}
