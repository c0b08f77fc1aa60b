// Peers that vanish without a word and come back as others, as pages do that are loaded anew: fifty at once, which are endpoints of
// another server whose process is killed. The server tells of each when consent ends; whoever releases it then has back what it cost.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { until } from './browser.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

const PEERS = 50;

describe('peers that vanish and come back', { timeout: 120_000 }, () => {
  let server, rpc, pipeline, peers;

  /** The server that the peers live in, with a pipeline. */
  async function appear() {
    const there = await startServer();
    const its = await Rpc.open(there.url);
    return { server: there, rpc: its, pipeline: await its.create('MediaPipeline') };
  }

  before(async () => {
    server = await startServer();
    rpc = await Rpc.open(server.url);
    pipeline = await rpc.create('MediaPipeline');
    peers = await appear();
  });

  after(async () => {
    await rpc?.close();
    await peers?.rpc.close();
    await peers?.server.stop();
    await server?.stop();
  });

  const isOf = (endpoint, type, field, value) => (e) => e.object === endpoint && e.type === type && e.data[field] === value;
  const files = () => fs.readdirSync(`/proc/${server.pid}/fd`).length;
  async function objects(type) {
    const text = await (await fetch(`${server.http}/metrics`)).text();
    return Number(text.match(new RegExp(`^rivero_objects\\{\\w+="${type}"\\} (\\d+)$`, 'm'))?.[1] ?? 0);
  }

  /** Joins an endpoint here to one there. Whoever offers opens a port for it. */
  async function join(weOffer) {
    const here = { rpc, endpoint: await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline }) };
    const there = { rpc: peers.rpc, endpoint: await peers.rpc.create('WebRtcEndpoint', { mediaPipeline: peers.pipeline }) };
    for (const type of ['ConnectionStateChanged', 'IceComponentStateChanged', 'DtlsConnectionStateChange']) await rpc.subscribe(here.endpoint, type);
    for (const [from, to] of [[here, there], [there, here]]) {
      from.rpc.on(from.endpoint, 'IceCandidateFound', ({ candidate }) => to.rpc.invoke(to.endpoint, 'addIceCandidate', { candidate }).catch(() => {}));
      await from.rpc.subscribe(from.endpoint, 'IceCandidateFound');
    }
    const [first, second] = weOffer ? [here, there] : [there, here];
    const offer = await first.rpc.invoke(first.endpoint, 'generateOffer');
    const answer = await second.rpc.invoke(second.endpoint, 'processOffer', { offer });
    await first.rpc.invoke(first.endpoint, 'processAnswer', { answer });
    for (const one of [first, second]) await one.rpc.invoke(one.endpoint, 'gatherCandidates');
    await rpc.event(isOf(here.endpoint, 'ConnectionStateChanged', 'newState', 'CONNECTED'), 'CONNECTED', 20_000);
    return here.endpoint;
  }

  async function joinAll() {
    const endpoints = [];
    for (let n = 0; n < PEERS; n += 1) endpoints.push(await join(n % 2 === 0));
    return endpoints;
  }

  /** The files of the server once it has closed what it closes. */
  async function settled() {
    let last = files();
    for (let same = 0; same < 10;) {
      await rpc.call('ping');
      await new Promise((resolve) => setTimeout(resolve, 50));
      const now = files();
      same = now === last ? same + 1 : 0;
      last = now;
    }
    return last;
  }

  test(`${PEERS} vanish, as many come in their place, and nothing is left of the first`, async () => {
    // What the workers open once, with the first calls, stays open.
    await Promise.all((await joinAll()).map((endpoint) => rpc.release(endpoint)));
    const empty = await settled();
    const first = await joinAll();
    assert.equal(await objects('WebRtcEndpoint'), PEERS);
    const full = files();
    assert.ok(full >= empty + PEERS / 2, `each that offers has a port: ${full} files, ${empty} without`);
    await peers.server.kill();
    peers = await appear();
    const second = await joinAll();
    assert.equal(await objects('WebRtcEndpoint'), 2 * PEERS, 'the first are still there');

    for (const endpoint of first) {
      await rpc.event(isOf(endpoint, 'ConnectionStateChanged', 'newState', 'DISCONNECTED'), 'DISCONNECTED', 35_000);
      const told = rpc.events.filter((e) => e.object === endpoint);
      const last = (type, field) => told.findLast((e) => e.type === type)?.data[field];
      assert.deepEqual([last('IceComponentStateChanged', 'state'), last('DtlsConnectionStateChange', 'state')], ['FAILED', 'FAILED'],
        told.map(({ type, data }) => `${type} ${data.state ?? data.newState}`).join(', '));
      assert.equal(await rpc.invoke(endpoint, 'getConnectionState'), 'DISCONNECTED');
      await rpc.release(endpoint);
    }
    assert.equal(await objects('WebRtcEndpoint'), PEERS);
    await until('the ports of the first are closed', async () => files(), (count) => count <= full, 10_000);
    for (const endpoint of second) assert.equal(await rpc.invoke(endpoint, 'getConnectionState'), 'CONNECTED', 'the others stay');

    await Promise.all(second.map((endpoint) => rpc.release(endpoint)));
    assert.equal(await objects('WebRtcEndpoint'), 0);
    await until('all ports are closed', async () => files(), (count) => count <= empty, 10_000);
    assert.ok(!/panicked| ERROR /.test(server.log()), server.log().split('\n').filter((line) => /panicked| ERROR /.test(line)).join('\n'));
  });
});
