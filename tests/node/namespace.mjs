// A network of a test's own: a namespace with one interface that is not the loopback, and no way out of it.
// Firefox gathers no ICE candidates on the loopback interface, so that a server on 127.0.0.1 alone cannot reach it.
import { spawn, spawnSync } from 'node:child_process';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const INTERFACE = 'net0';
/** Of ranges that are kept for documentation (RFC 5737, RFC 3849): nobody's addresses. */
const ADDRESS = '192.0.2.10';
const ADDRESS_V6 = '2001:db8::10';

function ip(...args) {
  const done = spawnSync('ip', args, { encoding: 'utf8' });
  if (done.error) throw done.error;
  if (done.status !== 0) throw new Error(`ip ${args.join(' ')}: ${done.stderr.trim() || `ended with ${done.status}`}`);
}

/**
 * Why this machine lets us make no namespace and run nothing in it; undefined when it does. `ipv6` asks for one with that
 * family on its interface.
 */
export function whyNoNamespace({ ipv6 = false } = {}) {
  const name = `rivero-try-${process.pid}`;
  try {
    ip('netns', 'add', name);
  } catch (error) {
    return `network namespaces cannot be made here (that takes root or CAP_SYS_ADMIN and CAP_NET_ADMIN): ${error.message}`;
  }
  try {
    ip('-n', name, 'link', 'add', INTERFACE, 'type', 'veth', 'peer', 'name', 'net1');
    if (ipv6) ip('-n', name, 'address', 'add', `${ADDRESS_V6}/64`, 'dev', INTERFACE, 'nodad');
    ip('netns', 'exec', name, 'true');
  } catch (error) {
    return `a network namespace cannot be furnished here: ${error.message}`;
  } finally {
    ip('netns', 'delete', name);
  }
  return undefined;
}

// Runs inside: hands what comes to a UNIX socket, which is outside all network namespaces, to a TCP port inside.
const RELAY = `
  const net = require('node:net');
  const [file, port] = process.argv.slice(1);
  net.createServer((outer) => {
    const inner = net.connect(Number(port), '127.0.0.1');
    for (const [from, to] of [[outer, inner], [inner, outer]]) from.on('error', () => to.destroy()).on('close', () => to.destroy()).pipe(to);
  }).listen(file, () => console.log('ready'));
`;

/**
 * Makes a namespace. Both ends of its veth pair are inside, so that no packet can leave it.
 * What it runs is ended, and all that it made is taken away, by `end()`. With `ipv6`, its interface has an address of that
 * family and of no other; 127.0.0.1 is there in any case.
 */
export function makeNamespace({ ipv6 = false } = {}) {
  const name = `rivero-${process.pid}`;
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-namespace-'));
  const children = new Set();
  const end = async () => {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all([...children].map((child) => child.ended));
    // Children of children, as browsers have them, are in the namespace too.
    const left = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout ?? '';
    for (const pid of left.split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    }
    ip('netns', 'delete', name);
    fs.rmSync(dir, { recursive: true, force: true, maxRetries: 10 });
  };

  ip('netns', 'add', name);
  try {
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', name, 'link', 'add', INTERFACE, 'type', 'veth', 'peer', 'name', 'net1');
    // Nobody else is there to have taken the address: it can be used at once.
    if (ipv6) ip('-n', name, 'address', 'add', `${ADDRESS_V6}/64`, 'dev', INTERFACE, 'nodad');
    else ip('-n', name, 'address', 'add', `${ADDRESS}/24`, 'dev', INTERFACE);
    ip('-n', name, 'link', 'set', 'net1', 'up');
    ip('-n', name, 'link', 'set', INTERFACE, 'up');
    // Browsers find their own address by asking for the way to a far one.
    ip(ipv6 ? '-6' : '-4', '-n', name, 'route', 'add', 'default', 'dev', INTERFACE);
  } catch (error) {
    ip('netns', 'delete', name);
    throw error;
  }

  return {
    name,
    dir,
    interface: INTERFACE,
    address: ipv6 ? ADDRESS_V6 : ADDRESS,
    end,

    /** Starts a program inside; its process is the program's own, so that signals reach it. */
    spawn(file, args, options = {}) {
      const child = spawn('ip', ['netns', 'exec', name, file, ...args], { stdio: ['ignore', 'pipe', 'pipe'], ...options });
      child.ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve));
      children.add(child);
      child.ended.then(() => children.delete(child));
      return child;
    },

    /** A script that runs a program inside, for those who want a path: the arguments and open files are handed on. */
    wrap(file) {
      const script = path.join(dir, `${path.basename(file)}.sh`);
      fs.writeFileSync(script, `#!/bin/sh\nexec ip netns exec ${name} "${file}" "$@"\n`, { mode: 0o755 });
      return script;
    },

    /** A URL, for the package ws, of a WebSocket that a TCP port on the inside's 127.0.0.1 serves. */
    async webSocket(port, pathname) {
      const file = path.join(dir, `${port}.sock`);
      const relay = this.spawn(process.execPath, ['-e', RELAY, file, String(port)]);
      const said = await Promise.race([new Promise((resolve) => relay.stdout.once('data', resolve)), relay.ended]);
      assert.match(String(said), /ready/, 'the relay into the namespace has started');
      return `ws+unix:${file}:${pathname}`;
    },
  };
}
