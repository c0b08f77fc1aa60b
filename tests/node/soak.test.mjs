// What comes must go: pipelines with endpoints are created, joined, brought to ICE and DTLS connected, and released, round
// after round. Threads, descriptors and memory must not grow. SOAK_PIPELINES and SOAK_ROUNDS scale it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

const PIPELINES = Number(process.env.SOAK_PIPELINES ?? 1000);
const ROUNDS = Number(process.env.SOAK_ROUNDS ?? 10);
/** Pairs that connect at the same time: enough to overlap, few enough to keep two cores free of time-outs. */
const AT_ONCE = 20;

function look(pid) {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const row = (name) => Number(status.match(new RegExp(`^${name}:\\s+(\\d+)`, 'm'))[1]);
  return { threads: row('Threads'), files: fs.readdirSync(`/proc/${pid}/fd`).length, kib: row('VmRSS') };
}

/** Two pipelines with an endpoint each, which call each other; resolves when both are connected. */
async function call(rpc) {
  const sides = [];
  for (let i = 0; i < 2; i++) {
    const pipeline = await rpc.create('MediaPipeline');
    const endpoint = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
    await rpc.invoke(endpoint, 'connect', { sink: endpoint });
    for (const type of ['IceCandidateFound', 'ConnectionStateChanged']) await rpc.subscribe(endpoint, type);
    sides.push({ pipeline, endpoint });
  }
  const [a, b] = sides;
  const offer = await rpc.invoke(a.endpoint, 'generateOffer');
  const answer = await rpc.invoke(b.endpoint, 'processOffer', { offer });
  await rpc.invoke(a.endpoint, 'processAnswer', { answer });
  const connected = sides.map(({ endpoint }) => rpc.waitFor(endpoint, 'ConnectionStateChanged', (d) => d.newState === 'CONNECTED'));
  const trickle = (from, to) => rpc.on(from.endpoint, 'IceCandidateFound', ({ candidate }) => rpc.invoke(to.endpoint, 'addIceCandidate', { candidate }).catch(() => {}));
  const stop = [trickle(a, b), trickle(b, a)];
  for (const { endpoint } of sides) await rpc.invoke(endpoint, 'gatherCandidates');
  await Promise.all(connected);
  stop.forEach((off) => off());
  return sides.map((side) => side.pipeline);
}

test(`${ROUNDS} rounds of ${PIPELINES} pipelines leave nothing behind`, { timeout: 20 * 60_000 }, async (t) => {
  // The request cache keeps answers for 20 s by design, whatever becomes of their objects: it is not what is looked for.
  const server = await startServer({ resources: { disableRequestCache: true } });
  const rpc = await Rpc.open(server.url);
  const seen = [];
  const atRest = look(server.pid).files;
  for (let round = 0; round < ROUNDS; round++) {
    const pipelines = [];
    for (let made = 0; made < PIPELINES / 2; made += AT_ONCE) {
      const count = Math.min(AT_ONCE, PIPELINES / 2 - made);
      pipelines.push(...(await Promise.all(Array.from({ length: count }, () => call(rpc)))).flat());
    }
    const busy = look(server.pid);
    await Promise.all(pipelines.map((pipeline) => rpc.release(pipeline)));
    rpc.events.length = 0;
    // Objects are out of reach with the answer, and gone a moment later: ask until they are.
    for (let tries = 0; ; tries++) {
      const { files } = look(server.pid);
      if (files <= atRest || tries === 250) break;
      await rpc.call('ping');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const idle = look(server.pid);
    seen.push(idle);
    t.diagnostic(`round ${round + 1}: ${pipelines.length} connected with ${busy.kib} KiB, ${busy.files} files; then ${idle.kib} KiB, ${idle.files} files, ${idle.threads} threads`);
  }
  assert.deepEqual((await rpc.invoke('manager_ServerManager', 'getPipelines')), []);
  const [, second] = seen;
  const last = seen.at(-1);
  assert.equal(last.files, second.files, 'descriptors');
  assert.equal(last.threads, second.threads, 'threads');
  assert.ok(last.kib <= second.kib * 1.05, `memory: ${last.kib} KiB after the last round, ${second.kib} after the second`);
  await server.stop();
});
