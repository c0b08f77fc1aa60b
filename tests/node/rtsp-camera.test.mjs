// Cameras that want a password, forget who is silent, freeze, or cannot be reached over UDP: without a browser.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { until } from './browser.mjs';
import { Rpc } from './rpc.mjs';
import { run } from './rtp-peers.mjs';
import { freePort, root, startServer } from './server.mjs';

const PORTS = [21_000, 21_199];
const SECRET = 'se%cret';

describe('PlayerEndpoint of cameras', { timeout: 120_000 }, () => {
  let server, rpc;
  const cameras = new Set();

  before(async () => {
    server = await startServer({ modules: { 'PlayerEndpoint.conf.ini': `rtspClientPortRange=${PORTS.join('-')}\n` } });
    rpc = await Rpc.open(server.url);
  });
  after(async () => {
    await Promise.all([...cameras].map((it) => it.stop('SIGKILL')));
    rpc?.close();
    await server?.stop();
  });

  async function camera(...wishes) {
    const port = await freePort();
    const it = run('/usr/bin/python3', [path.join(root, 'tests/node/rtsp-server.py'), String(port), ...wishes]);
    cameras.add(it);
    await until('the camera', () => it.log(), (log) => log.includes('ready'), 15_000);
    const asked = (word) => it.log().split('\n').filter((line) => line.startsWith(word));
    return { ...it, port, asked };
  }

  /** A player of it, and something to play to. */
  async function stage(uri) {
    const pipeline = await rpc.create('MediaPipeline');
    const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri, networkCache: 200 });
    const sink = await rpc.create('PassThrough', { mediaPipeline: pipeline });
    const told = [], flow = [];
    for (const event of ['UriEndpointStateChanged', 'EndOfStream', 'Error']) {
      await rpc.subscribe(player, event);
      rpc.on(player, event, (data) => told.push(data.state ?? data.type ?? event));
    }
    await rpc.subscribe(sink, 'MediaFlowInStateChanged');
    rpc.on(sink, 'MediaFlowInStateChanged', (data) => { if (data.mediaType === 'VIDEO') flow.push(data.state); });
    await rpc.invoke(player, 'connect', { sink });
    await rpc.invoke(player, 'play');
    const flows = (times = 1) => until('pictures', () => flow.filter((state) => state === 'FLOWING').length, (n) => n >= times, 25_000);
    return { pipeline, player, told, flow, flows };
  }

  for (const method of ['basic', 'digest']) {
    test(`a password, ${method}`, async () => {
      const source = await camera('tcp', `${method}=me:${SECRET}`);
      const it = await stage(`rtsp://me:se%25cret@127.0.0.1:${source.port}/vp8`);
      await it.flows();
      for (const who of ['me:wrongword@', '']) {
        const wrong = await stage(`rtsp://${who}127.0.0.1:${source.port}/vp8`);
        await until('the refusal', () => wrong.told, (told) => told.length === 3);
        assert.deepEqual(wrong.told, ['START', 'INVALID_URI', 'STOP'], who);
      }
      assert.deepEqual(it.told, ['START']);
      await rpc.release(it.pipeline);
      await until('the camera is told', () => source.asked('teardown').length, (n) => n === 1, 5_000);
      for (const word of [SECRET, 'se%25cret', 'wrongword']) assert.ok(!server.log().includes(word), 'passwords stay out of the log');
    });
  }

  test('a camera that forgets who is silent hears of its viewer in time', async () => {
    const source = await camera('udp', 'timeout=2');
    const it = await stage(`rtsp://127.0.0.1:${source.port}/vp8`);
    await it.flows();
    const ports = source.asked('setup').map((line) => line.match(/client_port=(\d+)-(\d+)/).slice(1).map(Number)).flat();
    assert.ok(ports.every((port) => port >= PORTS[0] && port <= PORTS[1]), `${ports}`);
    const signs = () => [...source.asked('get-parameter'), ...source.asked('options')].length;
    await until('three times as long', signs, (n) => n >= 7, 15_000);
    assert.deepEqual([source.asked('expired'), it.told, it.flow], [[], ['START'], ['FLOWING']]);
    await rpc.release(it.pipeline);
  });

  test('where UDP does not come through, TCP is used', async () => {
    const source = await camera('udp,tcp');
    // Leads every datagram of the camera elsewhere.
    const front = net.createServer((near) => {
      const far = net.connect(source.port, '127.0.0.1');
      near.on('data', (data) => far.write(Buffer.from(data.toString('latin1').replace(/client_port=\d+-\d+/, 'client_port=9-10'), 'latin1')));
      far.on('data', (data) => near.write(data));
      for (const [one, other] of [[near, far], [far, near]]) one.on('close', () => other.destroy()).on('error', () => other.destroy());
    });
    await new Promise((resolve) => front.listen(0, '127.0.0.1', resolve));
    const it = await stage(`rtsp://127.0.0.1:${front.address().port}/vp8`);
    await it.flows();
    const [first, , third] = source.asked('setup');
    assert.ok(first.includes('client_port=9-10') && third.includes('RTP/AVP/TCP'), source.log());
    assert.deepEqual(it.told, ['START']);
    await rpc.release(it.pipeline);
    front.close();
  });

  test('a camera that freezes is told, and plays when it thaws', async () => {
    const source = await camera('tcp');
    const it = await stage(`rtsp://127.0.0.1:${source.port}/h264`);
    await it.flows();
    source.signal('SIGSTOP');
    await until('the news', () => it.told, (told) => told.length === 2, 15_000);
    assert.equal(it.told[1], 'UNEXPECTED_ELEMENT_ERROR');
    await until('silence', () => it.flow.at(-1), (state) => state === 'NOT_FLOWING', 10_000);
    source.signal('SIGCONT');
    await it.flows(2);
    assert.deepEqual(it.told, ['START', 'UNEXPECTED_ELEMENT_ERROR']);
    await rpc.release(it.pipeline);
  });
});
