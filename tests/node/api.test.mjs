// The API row by row, from the descriptors in fixtures/kmd: every class that the server can build is built, every property
// read and held against its declared type, every writable one written back, every method called, every event subscribed.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Rpc, RpcError } from './rpc.mjs';
import { root, startServer } from './server.mjs';

/** What a fresh object refuses, as Kurento's does: a film that is not open cannot be sought in. */
const REFUSED = { 'PlayerEndpoint.position': 40700 };

const VERSIONS = ['6.8', '7.3'];
const NO_SUCH_OPERATION = new Set([40008, 40105, -32601]);

/** All descriptors of the versions given, rows of the later one replacing those of the earlier. */
function readDescriptors() {
  const classes = new Map(), types = new Map();
  const byName = (older = [], newer = []) => [...new Map([...older, ...newer].map((row) => [row.name, row])).values()];
  for (const version of VERSIONS) {
    const folder = path.join(root, 'fixtures/kmd', version);
    for (const file of fs.readdirSync(folder).filter((f) => f.endsWith('.kmd.json')).sort()) {
      const kmd = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
      for (const row of kmd.remoteClasses ?? []) {
        const old = classes.get(row.name);
        classes.set(row.name, {
          ...row,
          properties: byName(old?.properties, row.properties),
          methods: byName(old?.methods, row.methods),
          events: [...new Set([...(old?.events ?? []), ...(row.events ?? [])])],
        });
      }
      for (const row of kmd.complexTypes ?? []) types.set(row.name, { ...row, properties: byName(types.get(row.name)?.properties, row.properties) });
    }
  }
  return { classes, types };
}

const { classes, types } = readDescriptors();
const lineage = (name) => {
  const line = [];
  for (let row = classes.get(name); row; row = classes.get(row.extends)) line.push(row);
  return line;
};
const isA = (name, base) => lineage(name).some((row) => row.name === base);
const fieldsOf = (type) => [...(types.has(type.extends) ? fieldsOf(types.get(type.extends)) : []), ...(type.properties ?? [])];

/** Why `value` is not of the declared type, or null when it is. */
function mismatch(value, type) {
  const not = (what) => `declared ${type}, got ${what ?? JSON.stringify(value)?.slice(0, 160)}`;
  if (type.endsWith('[]')) return Array.isArray(value) ? value.map((v) => mismatch(v, type.slice(0, -2))).find(Boolean) ?? null : not();
  if (type.endsWith('<>')) { // Kurento writes an empty map as null
    if (value === null) return null;
    if (typeof value !== 'object' || Array.isArray(value)) return not();
    return Object.values(value).map((v) => mismatch(v, type.slice(0, -2))).find(Boolean) ?? null;
  }
  const primitive = { String: (v) => typeof v === 'string', boolean: (v) => typeof v === 'boolean', int: Number.isInteger, int64: Number.isInteger, float: Number.isFinite, double: Number.isFinite }[type];
  if (primitive) return primitive(value) ? null : not();
  if (classes.has(type)) return value === null || typeof value === 'string' ? null : not();
  const complex = types.get(type);
  assert.ok(complex, `type ${type} is declared somewhere`);
  if (complex.typeFormat === 'ENUM') return complex.values.includes(value) ? null : not();
  if (value === null || typeof value !== 'object') return not();
  if (typeof value.__type__ !== 'string' || typeof value.__module__ !== 'string') return not('an object without __type__ or __module__');
  // A map of statistics may hold records of a more particular type than the one declared.
  const actual = types.get(value.__type__) ?? complex;
  for (const field of fieldsOf(actual)) {
    if (value[field.name] === undefined) {
      // Rows of the 6.8 descriptors that 7.3 renamed may be absent; optional ones always.
      if (!field.optional && value.__type__ === type && inNewest(type, field.name)) return not(`an object without '${field.name}'`);
      continue;
    }
    const why = mismatch(value[field.name], field.type);
    if (why) return `${field.name}: ${why}`;
  }
  return null;
}

const newest = new Map();
{
  const folder = path.join(root, 'fixtures/kmd', VERSIONS.at(-1));
  for (const file of fs.readdirSync(folder).filter((f) => f.endsWith('.kmd.json'))) {
    for (const row of JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8')).complexTypes ?? []) newest.set(row.name, new Set((row.properties ?? []).map((p) => p.name)));
  }
}
const inNewest = (type, field) => newest.get(type)?.has(field) ?? true;

const fingerprint = 'a=fingerprint:sha-256 ' + Array.from({ length: 32 }, (_, i) => i.toString(16).padStart(2, '0').toUpperCase()).join(':');
const transport = ['c=IN IP4 0.0.0.0', 'a=rtcp:9 IN IP4 0.0.0.0', 'a=ice-ufrag:user', 'a=ice-pwd:apasswordofsufficientlen', fingerprint, 'a=setup:actpass', 'a=sendrecv', 'a=rtcp-mux'];
const offer = [
  'v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0 1',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111', ...transport, 'a=mid:0', 'a=rtpmap:111 opus/48000/2', 'a=ssrc:1001 cname:c',
  'm=video 9 UDP/TLS/RTP/SAVPF 96 97', ...transport, 'a=mid:1', 'a=rtpmap:96 VP8/90000', 'a=rtcp-fb:96 goog-remb', 'a=rtcp-fb:96 nack', 'a=rtcp-fb:96 nack pli',
  'a=rtcp-fb:96 ccm fir', 'a=rtpmap:97 H264/90000', 'a=fmtp:97 packetization-mode=1;profile-level-id=42e01f', 'a=ssrc:2001 cname:c', '',
].join('\r\n');
const SAMPLES = {
  'WebRtcEndpoint.offer': offer,
  'ServerManager.moduleName': 'core',
  'ServerManager.interval': 50,
  'MediaElement.mediaType': 'VIDEO',
  'WebRtcEndpoint.turnUrl': 'user:password@127.0.0.1:3478',
  'WebRtcEndpoint.stunServerAddress': '127.0.0.1',
  'IceCandidate.candidate': 'candidate:1 1 UDP 2015363327 127.0.0.1 40000 typ host',
  'IceCandidate.sdpMid': '0',
  'IceCandidate.sdpMLineIndex': 0,
};

/** A plausible argument. `stock` holds one live object a class. */
function sample(owner, param, stock) {
  for (const row of lineage(owner)) if (`${row.name}.${param.name}` in SAMPLES) return SAMPLES[`${row.name}.${param.name}`];
  const { type } = param;
  const complex = types.get(type);
  if (param.defaultValue !== undefined && complex?.typeFormat !== 'REGISTER') return param.defaultValue;
  if (type.endsWith('[]')) return [sample(owner, { ...param, defaultValue: undefined, type: type.slice(0, -2) }, stock)];
  const plain = { String: 'sample', boolean: false, int: 1, int64: 1, float: 0.5, double: 0.5 };
  if (type in plain) return plain[type];
  if (classes.has(type)) {
    const fits = [...stock].filter(([name]) => isA(name, type));
    return (fits.find(([name]) => name !== owner) ?? fits[0])?.[1];
  }
  if (complex.typeFormat === 'ENUM') return complex.values[0];
  return Object.fromEntries(fieldsOf(complex)
    .filter((f) => !f.optional || `${type}.${f.name}` in SAMPLES)
    .map((f) => [f.name, SAMPLES[`${type}.${f.name}`] ?? sample(type, f, stock)]));
}

const accessor = (verb, name) => verb + name[0].toUpperCase() + name.slice(1);

describe('the API, from the descriptors', { timeout: 180_000 }, () => {
  let server, rpc, factories;
  const stock = new Map();
  before(async () => {
    server = await startServer();
    rpc = await Rpc.open(server.url);
    factories = (await rpc.invoke('manager_ServerManager', 'getInfo')).modules.flatMap((m) => m.factories);
    assert.ok(factories.length > 0, 'the server lists factories');
    stock.set('MediaPipeline', await rpc.create('MediaPipeline'));
    for (const type of ['PassThrough', 'Dispatcher', 'DispatcherOneToMany']) stock.set(type, await rpc.create(type, { mediaPipeline: stock.get('MediaPipeline') }));
    stock.set('HubPort', await rpc.create('HubPort', { hub: stock.get('Dispatcher') }));
  });
  after(async () => {
    await rpc?.close();
    await server?.stop();
  });

  async function probe(t, name, object) {
    const seen = new Set();
    const first = (key) => !seen.has(key) && seen.add(key);
    const operations = [];
    for (const row of lineage(name)) {
      for (const property of row.properties ?? []) {
        if (!first(`property ${property.name}`)) continue;
        await t.test(`property ${property.name}`, async () => {
          const value = await rpc.invoke(object, accessor('get', property.name));
          assert.equal(mismatch(value, property.type), null);
          if (property.readOnly || property.final) return;
          const written = value === '' ? sample(name, property, stock) : value;
          const refused = REFUSED[`${name}.${property.name}`];
          if (refused) {
            await assert.rejects(rpc.invoke(object, accessor('set', property.name), { [property.name]: written }), { code: refused });
            return;
          }
          await rpc.invoke(object, accessor('set', property.name), { [property.name]: written });
          if (value === '') return;
          const again = await rpc.invoke(object, accessor('get', property.name));
          if (types.get(property.type)?.typeFormat !== 'REGISTER') {
            assert.deepEqual(again, value, 'what was written back is read again');
            return;
          }
          // A record that nobody wrote yet may lack optional fields (RembParams); written, it has all that it has ever after.
          assert.equal(mismatch(again, property.type), null);
          assert.deepEqual({ ...again, ...value }, again, 'every field that was written back is read again');
          await rpc.invoke(object, accessor('set', property.name), { [property.name]: again });
          assert.deepEqual(await rpc.invoke(object, accessor('get', property.name)), again, 'the whole record, written back, is read again');
        });
      }
      for (const method of row.methods ?? []) if (first(`method ${method.name}`)) operations.push(method);
      for (const event of row.events ?? []) {
        if (!first(`event ${event}`)) continue;
        await t.test(`event ${event}`, async () => {
          const subscription = await rpc.subscribe(object, event);
          assert.equal(typeof subscription, 'string');
          await rpc.call('unsubscribe', { object, subscription });
        });
      }
    }
    for (const method of operations) {
      await t.test(`method ${method.name}`, async () => {
        const params = Object.fromEntries((method.params ?? []).filter((p) => !p.optional || p.defaultValue !== undefined).map((p) => [p.name, sample(name, p, stock)]));
        try {
          const value = await rpc.invoke(object, method.name, params);
          if (method.return?.type) assert.equal(mismatch(value, method.return.type), null);
          else assert.equal(value, null, 'a method that returns nothing answers null');
        } catch (error) {
          // A refusal in the terms of the API is an answer too (no local SDP yet, say); an unknown name is not.
          if (!(error instanceof RpcError)) throw error;
          assert.ok(!NO_SUCH_OPERATION.has(error.code) && error.code >= 40000, `${error.message}`);
        }
      });
    }
  }

  test('ServerManager', async (t) => {
    await probe(t, 'ServerManager', 'manager_ServerManager');
  });

  const concrete = [...classes.values()].filter((row) => row.constructor && typeof row.constructor === 'object' && !row.abstract);
  test('there are classes to build', () => assert.ok(concrete.length >= 6));
  for (const row of concrete) {
    test(row.name, async (t) => {
      if (!factories.includes(row.name)) {
        t.skip('the server lists no factory for it yet');
        return;
      }
      const params = Object.fromEntries((row.constructor.params ?? []).filter((p) => !p.optional).map((p) => [p.name, sample(row.name, p, stock)]));
      const object = await rpc.create(row.name, params);
      assert.match(object, new RegExp(`\\.${row.name}$`));
      await probe(t, row.name, object);
      await rpc.release(object);
      await assert.rejects(rpc.invoke(object, 'getName'), { code: 40101 });
    });
  }

  test('getGstreamerDot is a drawing that Graphviz accepts, with every element and connection in it', async () => {
    const pipeline = await rpc.create('MediaPipeline');
    const a = await rpc.create('PassThrough', { mediaPipeline: pipeline });
    const b = await rpc.create('PassThrough', { mediaPipeline: pipeline });
    await rpc.invoke(a, 'setName', { name: 'a "name" with \\ and\nlines' });
    await rpc.invoke(a, 'connect', { sink: b });
    const dot = await rpc.invoke(pipeline, 'getGstreamerDot');
    const drawing = spawnSync('dot', ['-Tsvg'], { input: dot, encoding: 'utf8', timeout: 20_000 });
    assert.equal(drawing.status, 0, `${drawing.error ?? drawing.stderr}\n${dot}`);
    assert.equal(drawing.stdout.match(/class="node"/g)?.length, 2, dot);
    assert.equal(drawing.stdout.match(/class="edge"/g)?.length, 3, dot);
    await rpc.release(pipeline);
  });

  test('getKmd of every module is JSON and declares what getInfo lists', async () => {
    const info = await rpc.invoke('manager_ServerManager', 'getInfo');
    for (const module of info.modules) {
      const kmd = JSON.parse(await rpc.invoke('manager_ServerManager', 'getKmd', { moduleName: module.name }));
      const declared = (kmd.remoteClasses ?? []).map((c) => c.name);
      for (const factory of module.factories) assert.ok(declared.includes(factory), `${module.name} declares ${factory}`);
    }
  });
});

test('an independent tool for API coverage agrees, where one is at hand', async (t) => {
  const tool = path.resolve(root, '../shared/tools/api-coverage.mjs');
  if (!fs.existsSync(tool)) {
    t.skip('no ../shared/tools/api-coverage.mjs here');
    return;
  }
  const server = await startServer();
  try {
    for (const selection of [['--modules', 'core'], ['--classes', 'Dispatcher,DispatcherOneToMany,WebRtcEndpoint,RtpEndpoint'], ['--classes', 'PlayerEndpoint,RecorderEndpoint,HttpPostEndpoint']]) {
      await t.test(selection.join(' '), () => {
        const run = spawnSync(process.execPath, ['--experimental-websocket', '--no-warnings', tool, '--url', server.url, ...selection], { encoding: 'utf8', timeout: 60_000 });
        const summary = run.stdout.trim().split('\n').at(-1);
        assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
        assert.match(summary, /^[1-9]\d* passed, 0 failed$/);
      });
    }
  } finally {
    await server.stop();
  }
});
