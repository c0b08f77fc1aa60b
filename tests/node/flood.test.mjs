// A hundred connections, ten thousand requests each, while a picture goes through the server: every answer right,
// no frame the worse for it. Bounded in count and time; everything stays on the loopback interface.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { LOOK, launch, newPage, until } from './browser.mjs';
import { startServer } from './server.mjs';
import { Rpc } from './rpc.mjs';

const CONNECTIONS = Number(process.env.FLOOD_CONNECTIONS ?? 100);
const REQUESTS = Number(process.env.FLOOD_REQUESTS ?? 10_000);
const IN_FLIGHT = 50;
const LIMIT_MS = 480_000;

let server, browser;
before(async () => {
  server = await startServer();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The kinds of request, and the exact text that answers each. `s` is the connection's own session and element. */
const KINDS = [
  { request: (id) => `{"jsonrpc":"2.0","id":${id},"method":"ping","params":{"interval":240000}}`,
    answer: (id, s) => `{"id":${id},"jsonrpc":"2.0","result":{"sessionId":"${s.session}","value":"pong"}}` },
  { request: (id, s) => `{"jsonrpc":"2.0","id":${id},"method":"invoke","params":{"object":"${s.element}","operation":"getName","sessionId":"${s.session}"}}`,
    answer: (id, s) => `{"id":${id},"jsonrpc":"2.0","result":{"sessionId":"${s.session}","value":"${s.name}"}}` },
  { request: (id, s) => `{"jsonrpc":"2.0","id":${id},"method":"invoke","params":{"object":"${s.element}","operation":"getMaxEncoderBitrate"}}`,
    answer: (id, s) => `{"id":${id},"jsonrpc":"2.0","result":{"sessionId":"${s.session}","value":2147483647}}` },
  { request: (id) => `{"jsonrpc":"2.0","id":${id},"method":"noSuchMethod"}`,
    answer: (id) => `{"error":{"code":-32601,"message":"Method not found."},"id":${id},"jsonrpc":"2.0"}` },
  { request: (id) => `{"jsonrpc":"2.0","id":${id},"method":"describe","params":{"object":"nobody"}}`,
    answer: (id) => `{"error":{"code":40101,"data":{"type":"MEDIA_OBJECT_NOT_FOUND"},"message":"Object 'nobody' not found"},"id":${id},"jsonrpc":"2.0"}` },
  { request: (id, s) => `{"jsonrpc":"2.0","id":${id},"method":"invoke","params":{"object":"${s.element}","operation":"connect","operationParams":{"sink":"${s.element}","mediaType":"SMELL"}}}`,
    answer: (id) => `{"error":{"code":40001,"data":{"type":"MARSHALL_ERROR"},"message":"Invalid value for 'MediaType'"},"id":${id},"jsonrpc":"2.0"}` },
  { request: (id) => `{"jsonrpc":"1.0","id":${id},"method":"ping"}`,
    answer: () => '{"error":{"code":-32600,"message":"Invalid JSON-RPC request."},"id":null,"jsonrpc":"2.0"}' },
];

/** One connection's share. Answers of one connection come in the order of its requests, so each is compared in full. */
async function flood(n) {
  const socket = new WebSocket(server.url, { perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const ask = (text) => new Promise((resolve) => {
    socket.once('message', (data) => resolve(JSON.parse(data.toString()).result));
    socket.send(text);
  });
  const made = await ask('{"jsonrpc":"2.0","id":-1,"method":"create","params":{"type":"MediaPipeline"}}');
  const pipeline = made.value;
  const element = (await ask(`{"jsonrpc":"2.0","id":-2,"method":"create","params":{"type":"PassThrough","constructorParams":{"mediaPipeline":"${pipeline}"}}}`)).value;
  const s = { session: made.sessionId, element, name: `element of connection ${n}` };
  await ask(`{"jsonrpc":"2.0","id":-3,"method":"invoke","params":{"object":"${element}","operation":"setName","operationParams":{"name":"${s.name}"}}}`);
  let sent = 0, answered = 0;
  await new Promise((resolve, reject) => {
    const kind = (i) => KINDS[(i + n) % KINDS.length];
    const send = () => {
      socket.send(kind(sent).request(sent, s));
      sent += 1;
    };
    socket.on('message', (data) => {
      const text = data.toString();
      const expected = kind(answered).answer(answered, s);
      if (text !== expected) {
        reject(new Error(`connection ${n}, request ${answered}: expected ${expected}, got ${text}`));
        socket.terminate();
        return;
      }
      answered += 1;
      if (sent < REQUESTS) send();
      else if (answered === REQUESTS) resolve();
    });
    socket.once('close', (code) => reject(new Error(`connection ${n} was closed with ${code} after ${answered} answers`)));
    for (let i = 0; i < Math.min(IN_FLIGHT, REQUESTS); i++) send();
  });
  socket.removeAllListeners('close');
  socket.removeAllListeners('message');
  await ask(`{"jsonrpc":"2.0","id":-4,"method":"release","params":{"object":"${pipeline}"}}`);
  socket.terminate();
  return answered;
}

test(`${CONNECTIONS} connections, ${REQUESTS} requests each, beside a live picture`, { timeout: LIMIT_MS }, async (t) => {
  const page = await newPage(browser);
  await page.addInitScript(LOOK);
  // The page's own peer connection, for figures of its own.
  await page.addInitScript(() => {
    const Original = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Original {
      constructor(...args) {
        super(...args);
        window.peer = this;
      }
    };
  });
  await page.goto(server.http);
  await page.click('#start:enabled');
  const figures = () => page.evaluate(() => (window.peer ? window.look.figures(window.peer) : { decoded: 0 }));
  const before = await until('the picture runs', figures, (f) => f.decoded > 60);

  const cpu = server.cpuSeconds();
  const began = performance.now();
  const answered = await Promise.all(Array.from({ length: CONNECTIONS }, (_, n) => flood(n)));
  const seconds = (performance.now() - began) / 1000;
  const total = answered.reduce((a, b) => a + b, 0);
  assert.equal(total, CONNECTIONS * REQUESTS);
  const beside = await figures();
  t.diagnostic(`${total} answers in ${seconds.toFixed(1)} s, ${Math.round(total / seconds)}/s, ${(server.cpuSeconds() - cpu).toFixed(1)} s of server CPU, ${server.residentKiB()} KiB resident`);
  const sent = beside.encoded - before.encoded, shown = beside.decoded - before.decoded;
  t.diagnostic(`meanwhile ${sent} frames sent, ${shown} shown, ${beside.lost - before.lost} packets lost`);

  assert.ok(sent > 0, 'the browser went on sending');
  assert.equal(beside.lost, before.lost, 'no packet was lost');
  // What was encoded last may still be on its way when the figures are read.
  const settled = await until('every frame sent is shown', figures, (f) => f.decoded >= beside.encoded - before.encoded + before.decoded - 10, 5_000);
  assert.equal(settled.lost, before.lost, 'no packet was lost afterwards either');
  const rpc = await Rpc.open(server.url);
  assert.equal((await rpc.invoke('manager_ServerManager', 'getPipelines')).length, 1, 'only the page still has a pipeline');
  await rpc.close();
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});
