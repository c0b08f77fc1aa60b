// Requests a second over one connection, and what they cost the server in CPU time. Prints one line a kind.
// usage: node bench-rpc.mjs [requests]
import WebSocket from 'ws';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

const COUNT = Number(process.argv[2] ?? 40_000);
const server = await startServer();
const setup = await Rpc.open(server.url);
const pipeline = await setup.create('MediaPipeline');
const endpoint = await setup.create('WebRtcEndpoint', { mediaPipeline: pipeline });
const session = setup.sessionId;

/** Sends `count` requests with at most `window` of them unanswered. */
async function run(name, window, count, request) {
  const socket = new WebSocket(server.url, { perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const cpu = server.cpuSeconds();
  const began = performance.now();
  await new Promise((resolve, reject) => {
    let sent = 0, answered = 0;
    const send = () => socket.send(request((sent += 1)));
    socket.on('message', (data) => {
      if (data.includes('"error"')) reject(new Error(data.toString()));
      answered += 1;
      if (sent < count) send();
      else if (answered === count) resolve();
    });
    socket.once('close', () => reject(new Error('the server closed the connection')));
    for (let i = 0; i < Math.min(window, count); i++) send();
  });
  const seconds = (performance.now() - began) / 1000;
  const spent = server.cpuSeconds() - cpu;
  socket.removeAllListeners('close');
  socket.terminate();
  console.log(`${name.padEnd(38)} ${Math.round(count / seconds).toString().padStart(7)} requests/s   ${spent.toFixed(2).padStart(5)} CPU s   ${((spent / count) * 1e6).toFixed(0).padStart(4)} us CPU a request`);
}

let serial = 0;
const ping = (n) => `{"jsonrpc":"2.0","id":${n},"method":"ping"}`;
// Ids are never used twice in a session, so that the cache of answers is filled but never hit.
const get = () => `{"jsonrpc":"2.0","id":${(serial += 1) + 1e6},"method":"invoke","params":{"object":"${endpoint}","operation":"getMaxVideoSendBandwidth","sessionId":"${session}"}}`;
console.log(`server memory before: ${server.residentKiB()} KiB`);
await run('ping, one at a time', 1, COUNT / 4, ping);
await run('ping, 64 in flight', 64, COUNT, ping);
await run('getMaxVideoSendBandwidth, one at a time', 1, COUNT / 4, get);
await run('getMaxVideoSendBandwidth, 64 in flight', 64, COUNT, get);
console.log(`server memory after: ${server.residentKiB()} KiB`);
await setup.close();
await server.stop();
