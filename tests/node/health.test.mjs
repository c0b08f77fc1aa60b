// What monitors, load balancers and people with a browser see of the port: HTTP answers, and the page.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import WebSocket from 'ws';
import { startServer } from './server.mjs';

let server;
before(async () => { server = await startServer(); });
after(() => server?.stop());

/** Sends one request byte for byte and returns everything until the server closes or stays silent. */
function raw(lines) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(server.port, '127.0.0.1', () => socket.write(lines.join('\r\n') + '\r\n\r\n'));
    let text = '';
    socket.setTimeout(3_000, () => { socket.destroy(); resolve(text); });
    socket.on('data', (d) => {
      text += d;
      // A kept-alive page answer ends with its declared length, not with the connection.
      const head = text.indexOf('\r\n\r\n');
      const length = text.match(/content-length: (\d+)/i)?.[1];
      if (head > 0 && length !== undefined && Buffer.byteLength(text.slice(head + 4)) >= Number(length)) socket.destroy();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}
const status = (answer) => answer.split('\r\n')[0];
const host = () => `Host: 127.0.0.1:${server.port}`;

test('plain HTTP on the path of the protocol: 426', async () => {
  assert.equal(status(await raw(['GET /kurento HTTP/1.1', host()])), 'HTTP/1.1 426 Upgrade Required');
});

test('an upgrade without a version: 500, which container health checks look for', async () => {
  const answer = await raw(['GET /kurento HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket', host(), 'Origin: 127.0.0.1']);
  assert.equal(status(answer), 'HTTP/1.1 500 Internal Server Error');
  assert.match(answer, /\r\nServer: WebSocket\+\+\//, 'monitors match the name of the library that Kurento uses');
});

test('an upgrade without a key: 400', async () => {
  const answer = await raw(['GET /kurento HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', host()]);
  assert.equal(status(answer), 'HTTP/1.1 400 Bad Request');
});

test('an unknown version: 400 with the versions that are spoken', async () => {
  const answer = await raw(['GET /kurento HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 99', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', host()]);
  assert.equal(status(answer), 'HTTP/1.1 400 Bad Request');
  assert.match(answer, /Sec-WebSocket-Version: .*13/i);
});

test('a proper upgrade: 101 with the accept key of RFC 6455, no extension, no subprotocol', async () => {
  const answer = await raw(['GET /kurento?access_token=x HTTP/1.1', 'Connection: keep-alive, Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Protocol: foo', 'Sec-WebSocket-Extensions: permessage-deflate', host()]);
  assert.equal(status(answer), 'HTTP/1.1 101 Switching Protocols');
  assert.match(answer, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
  assert.doesNotMatch(answer, /Sec-WebSocket-(Protocol|Extensions)/i);
});

for (const target of ['/', '/kurento/', '/other']) {
  test(`a WebSocket to ${target} is closed with 1002, Invalid path`, async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${target}`);
    const [code, reason] = await new Promise((resolve, reject) => {
      socket.once('close', (c, r) => resolve([c, r.toString()])).once('error', reject);
    });
    assert.deepEqual([code, reason], [1002, 'Invalid path']);
  });
}

test('the page, its scripts and its style are served', async () => {
  const page = await fetch(`${server.http}/`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type'), /^text\/html/);
  const html = await page.text();
  for (const id of ['start', 'stop', 'local', 'remote', 'status', 'figures', 'graph', 'log']) assert.match(html, new RegExp(`id="${id}"`));
  const files = new Set([...html.matchAll(/(?:src|href)="([\w.]+)"/g)].map(([, file]) => file));
  for (const file of files) {
    const part = await fetch(`${server.http}/${file}`);
    assert.equal(part.status, 200, file);
    assert.match(part.headers.get('content-type'), file.endsWith('.css') ? /css/ : /javascript/);
    const text = await part.text();
    assert.ok(text.length > 500, `${file} is not empty`);
    for (const [, imported] of text.matchAll(/^import .*'\.\/([\w.]+)';$/gm)) files.add(imported);
  }
  for (const file of ['style.css', 'app.js', 'player.js', 'recorder.js', 'recordings.js', 'protocol.js', 'graph.js', 'figures.js']) assert.ok(files.has(file), file);
});
