// The process as service managers see it: options, exit codes, signals.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { Rpc } from './rpc.mjs';
import { freePort, runBinary, startServer, writeConfig } from './server.mjs';

test('--version names the server, its version and its modules', async () => {
  const { code, stdout } = await runBinary(['--version']);
  assert.equal(code, 0);
  assert.match(stdout, /^Kurento Media Server version: \d+\.\d+\.\d+/m);
  assert.match(stdout, /^Found modules:$/m);
  for (const name of ['core', 'elements', 'filters']) assert.match(stdout, new RegExp(`^\t'${name}' version \\d`, 'm'));
});

test('--list names the factories, bare and qualified', async () => {
  const { code, stdout } = await runBinary(['--list']);
  assert.equal(code, 0);
  assert.match(stdout, /^Available factories:$/m);
  for (const name of ['WebRtcEndpoint', 'kurento.WebRtcEndpoint', 'MediaPipeline', 'Dispatcher']) assert.match(stdout, new RegExp(`^\t${name.replace('.', '\\.')}$`, 'm'));
});

test('--help prints the usage', async () => {
  const { code, stdout } = await runBinary(['--help']);
  assert.equal(code, 0);
  assert.match(stdout, /--conf-file/);
});

test('a configuration that is no JSON: exit code 1, with the reason', async () => {
  const dir = writeConfig({ port: await freePort() });
  const file = path.join(dir, 'kurento.conf.json');
  fs.writeFileSync(file, '{ "mediaServer": ');
  const { code, stdout, stderr } = await runBinary(['--conf-file', file]);
  fs.rmSync(dir, { recursive: true });
  assert.equal(code, 1);
  assert.match(stdout + stderr, /Error reading configuration/);
});

test('a configuration file that is not there: exit code 1', async () => {
  const { code } = await runBinary(['--conf-file', '/nonexistent/kurento.conf.json']);
  assert.equal(code, 1);
});

test('a port in use: exit code 1, and the log says so', async () => {
  const holder = net.createServer().listen(0, '::');
  await once(holder, 'listening');
  const dir = writeConfig({ port: holder.address().port });
  const { code, stdout, stderr } = await runBinary(['--conf-file', path.join(dir, 'kurento.conf.json')]);
  holder.close();
  fs.rmSync(dir, { recursive: true });
  assert.equal(code, 1);
  assert.match(stdout + stderr, /Error creating transport/);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal} with live pipelines: exit code 0 within five seconds`, async () => {
    const server = await startServer();
    const rpc = await Rpc.open(server.url);
    for (let i = 0; i < 5; i++) {
      const pipeline = await rpc.create('MediaPipeline');
      const endpoint = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
      await rpc.invoke(endpoint, 'connect', { sink: endpoint });
      await rpc.invoke(endpoint, 'generateOffer');
      await rpc.invoke(endpoint, 'gatherCandidates');
    }
    await server.stop(signal);
    assert.match(server.log(), /Kurento Media Server stopped/);
  });
}

test('a client that is killed leaves its objects for the session to come back to', async () => {
  const server = await startServer();
  const first = await Rpc.open(server.url);
  const pipeline = await first.create('MediaPipeline');
  const session = first.sessionId;
  await first.close();
  const second = await Rpc.open(server.url);
  const back = await second.call('connect', { sessionId: session });
  assert.equal(back.sessionId, session);
  assert.equal(await second.invoke(pipeline, 'getName'), pipeline);
  await server.stop();
});

test('an abandoned session dies within two periods of the collector', async () => {
  const server = await startServer({ resources: { garbageCollectorPeriod: 1 } });
  const keeper = await Rpc.open(server.url);
  await keeper.create('MediaPipeline');
  await keeper.subscribe('manager_ServerManager', 'ObjectDestroyed');
  const first = await Rpc.open(server.url);
  const pipeline = await first.create('MediaPipeline');
  const session = first.sessionId;
  await first.close();
  await keeper.event((e) => e.type === 'ObjectDestroyed' && e.data.objectId === pipeline, 'ObjectDestroyed of the abandoned pipeline');
  await assert.rejects(keeper.call('connect', { sessionId: session }), { code: 40007 });
  await server.stop();
});
