// How the server is reached from beyond NATs: public addresses from a STUN server, relays of Debian's coturn between it and
// Chromium, and a network that has IPv6 only. Browser, server and coturn run in network namespaces of the test's own.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import { isIPv6 } from 'node:net';
import path from 'node:path';
import { LOOK, launch, newPage, until } from './browser.mjs';
import { makeNamespace, whyNoNamespace } from './namespace.mjs';
import { Rpc } from './rpc.mjs';
import { binary, startServer } from './server.mjs';

const FRAMES = 30;
const MAPPED = { address: '203.0.113.7', port: 61000 };
const CREDENTIALS = { username: 'user', credential: 'p@ss' };

/** What the page can do: calls by name, each with the configuration that it is given. */
const CALL = () => {
  window.begin = (name, configuration) => {
    const peer = new RTCPeerConnection(configuration);
    const video = document.body.appendChild(document.createElement('video'));
    Object.assign(video, { id: name, autoplay: true, playsInline: true, srcObject: new MediaStream() });
    window[name] = {
      async offer() {
        peer.ontrack = ({ track }) => video.srcObject.addTrack(track);
        const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480 } });
        for (const track of stream.getTracks()) peer.addTrack(track, stream);
        await peer.setLocalDescription();
        while (peer.iceGatheringState !== 'complete') await new Promise((resolve) => { peer.onicegatheringstatechange = resolve; });
        return peer.localDescription.sdp;
      },
      accept: (sdp) => peer.setRemoteDescription({ type: 'answer', sdp }),
      candidate: (candidate) => peer.addIceCandidate(candidate),
      async figures() {
        const stats = await peer.getStats();
        const all = [...stats.values()];
        const inbound = (kind) => all.find((s) => s.type === 'inbound-rtp' && s.kind === kind) ?? {};
        const pair = stats.get(all.find((s) => s.type === 'transport')?.selectedCandidatePairId);
        return {
          state: peer.connectionState, decoded: inbound('video').framesDecoded ?? 0, width: inbound('video').frameWidth ?? 0,
          energy: inbound('audio').totalAudioEnergy ?? 0,
          local: stats.get(pair?.localCandidateId), remote: stats.get(pair?.remoteCandidateId),
        };
      },
      end: () => peer.close(),
    };
  };
};

/** A server, a browser and a connection between test and server, in a namespace. */
async function furnish(namespace, options) {
  const { RIVERO_BIN, CHROMIUM } = process.env;
  const there = { namespace };
  try {
    process.env.RIVERO_BIN = namespace.wrap(binary());
    process.env.CHROMIUM = namespace.wrap(CHROMIUM ?? '/usr/bin/chromium');
    [there.server, there.chromium] = await Promise.all([startServer({ interfaces: namespace.interface, ...options }), launch()]);
  } finally {
    for (const [name, value] of Object.entries({ RIVERO_BIN, CHROMIUM })) {
      if (value === undefined) delete process.env[name]; else process.env[name] = value;
    }
  }
  there.page = await newPage(there.chromium);
  there.rpc = await Rpc.open(await namespace.webSocket(there.server.port, '/kurento'));
  await there.page.goto(`${there.server.http}/`);
  await there.page.evaluate(LOOK);
  await there.page.evaluate(CALL);
  return there;
}

async function leave({ namespace, server, chromium, rpc } = {}) {
  await rpc?.close();
  await chromium?.close();
  try {
    await server?.stop();
  } finally {
    await namespace?.end();
  }
}

/** Has the page call an endpoint that sends everything back. Returns the candidates that the endpoint has told, by then all. */
async function call({ page, rpc }, name, { configuration = {}, prepare = async () => {} }) {
  const pipeline = await rpc.create('MediaPipeline');
  const endpoint = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
  await prepare(endpoint);
  await rpc.invoke(endpoint, 'connect', { sink: endpoint });
  const found = [];
  rpc.on(endpoint, 'IceCandidateFound', ({ candidate: { candidate, sdpMid, sdpMLineIndex } }) => {
    if (sdpMLineIndex === 0) found.push(candidate);
    page.evaluate(([call, init]) => window[call].candidate(init), [name, { candidate, sdpMid, sdpMLineIndex }]).catch(() => {});
  });
  for (const type of ['IceCandidateFound', 'IceGatheringDone', 'NewCandidatePairSelected']) await rpc.subscribe(endpoint, type);
  await page.evaluate(([call, given]) => window.begin(call, given), [name, configuration]);
  const offer = await page.evaluate((call) => window[call].offer(), name);
  const answer = await rpc.invoke(endpoint, 'processOffer', { offer });
  await page.evaluate(([call, sdp]) => window[call].accept(sdp), [name, answer]);
  await rpc.invoke(endpoint, 'gatherCandidates');
  await rpc.event((e) => e.object === endpoint && e.type === 'IceGatheringDone', 'the end of gathering');
  const pair = () => rpc.event((e) => e.object === endpoint && e.type === 'NewCandidatePairSelected', 'a selected pair').then((e) => e.data.candidatePair);
  return { endpoint, pipeline, found, offer, pair, figures: () => page.evaluate((call) => window[call].figures(), name) };
}

/** Waits until pictures and sound have come back. */
async function comesBack({ page }, name, figures) {
  const first = await until('a picture', figures, ({ decoded, width }) => decoded > 0 && width > 0, 10_000);
  await until(`${FRAMES} frames more`, figures, ({ decoded }) => decoded >= first.decoded + FRAMES, 10_000);
  const change = await page.evaluate((video) => window.look.change(video, 500), `#${name}`);
  assert.ok(change > 0.1, `the picture moves: ${change}`);
  await until('sound', figures, ({ energy }) => energy > first.energy, 10_000);
}

const kinds = (candidates) => [...new Set(candidates.map((candidate) => candidate.match(/ typ (\w+)/)[1]))].sort();

/** A STUN server that sees everybody at `MAPPED` (RFC 8489). */
async function startStun() {
  const socket = dgram.createSocket('udp4');
  const asked = [];
  socket.on('message', (request, from) => {
    asked.push(from);
    const answer = Buffer.alloc(32);
    answer.writeUInt16BE(0x0101, 0);
    answer.writeUInt16BE(12, 2);
    request.copy(answer, 4, 4, 20);
    answer.writeUInt16BE(0x0020, 20);
    answer.writeUInt16BE(8, 22);
    answer.writeUInt16BE(0x0001, 24);
    answer.writeUInt16BE(MAPPED.port ^ 0x2112, 26);
    const ip = MAPPED.address.split('.').map(Number);
    [0x21, 0x12, 0xa4, 0x42].forEach((magic, at) => answer.writeUInt8(ip[at] ^ magic, 28 + at));
    socket.send(answer, from.port, from.address);
  });
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return { port: socket.address().port, asked, close: () => new Promise((resolve) => socket.close(resolve)) };
}

describe('STUN and TURN by properties and configuration', { timeout: 30_000 }, () => {
  let stun, server, rpc;

  before(async () => {
    stun = await startStun();
    const modules = { 'WebRtcEndpoint.conf.ini': `networkInterfaces=lo\nstunServerAddress=127.0.0.1\nstunServerPort=${stun.port}\n` };
    server = await startServer({ modules });
    rpc = await Rpc.open(server.url);
  });

  after(async () => {
    await rpc?.close();
    await server?.stop();
    await stun?.close();
  });

  /** Lets an endpoint gather; returns it with its candidates, each with its m-line. */
  async function gather(prepare) {
    const endpoint = await rpc.create('WebRtcEndpoint', { mediaPipeline: await rpc.create('MediaPipeline') });
    await prepare(endpoint);
    const found = [];
    rpc.on(endpoint, 'IceCandidateFound', ({ candidate }) => found.push(candidate));
    for (const type of ['IceCandidateFound', 'IceGatheringDone']) await rpc.subscribe(endpoint, type);
    await rpc.invoke(endpoint, 'generateOffer');
    await rpc.invoke(endpoint, 'gatherCandidates');
    await rpc.event((e) => e.object === endpoint && e.type === 'IceGatheringDone', 'the end of gathering');
    return { endpoint, found };
  }

  test('a public address is told for each m-line and stands in the description', async () => {
    const { endpoint, found } = await gather(async () => {});
    assert.equal(stun.asked.length, 1);
    const reflexive = found.filter(({ candidate }) => / typ srflx /.test(candidate));
    assert.deepEqual(reflexive.map(({ sdpMLineIndex }) => sdpMLineIndex), [0, 1]);
    const wanted = new RegExp(`^candidate:\\d+ 1 UDP \\d+ 203\\.0\\.113\\.7 61000 typ srflx raddr 127\\.0\\.0\\.1 rport ${stun.asked[0].port}$`);
    for (const { candidate } of reflexive) assert.match(candidate, wanted);
    const described = await rpc.invoke(endpoint, 'getLocalSessionDescriptor');
    assert.equal(described.split(`a=${reflexive[0].candidate}\r\n`).length, 3, described);
  });

  test('an endpoint can be given another STUN server, or none', async () => {
    const before = stun.asked.length;
    const { found } = await gather((endpoint) => rpc.invoke(endpoint, 'setStunServerAddress', { stunServerAddress: '' }));
    assert.deepEqual([kinds(found.map(({ candidate }) => candidate)), stun.asked.length], [['host'], before]);
    const other = await startStun();
    try {
      const { found: again } = await gather((endpoint) => rpc.invoke(endpoint, 'setStunServerPort', { stunServerPort: other.port }));
      assert.deepEqual(kinds(again.map(({ candidate }) => candidate)), ['host', 'srflx']);
      assert.deepEqual([other.asked.length, stun.asked.length], [1, before]);
    } finally {
      await other.close();
    }
  });

  test('a turnUrl that is none is an Error event, and nobody waits for it', async () => {
    let refused;
    const { endpoint, found } = await gather(async (endpoint) => {
      refused = endpoint;
      await rpc.subscribe(endpoint, 'Error');
      await rpc.invoke(endpoint, 'setTurnUrl', { turnUrl: 'me:hunter2@nowhere' });
    });
    const { data } = await rpc.event((e) => e.object === refused && e.type === 'Error', 'an Error');
    assert.equal(data.type, 'UNEXPECTED_ELEMENT_ERROR');
    assert.match(data.description, /user:password@host:port\(\?transport=\[udp\|tcp\|tls\]\)/);
    assert.doesNotMatch(data.description + server.log(), /hunter2/);
    assert.ok(!kinds(found.map(({ candidate }) => candidate)).includes('relay'));
    assert.equal(await rpc.invoke(endpoint, 'getTurnUrl'), 'me:hunter2@nowhere');
  });
});

/** Starts coturn in a namespace, and waits until it answers. */
async function startCoturn(namespace) {
  const { address, dir } = namespace;
  const conf = path.join(dir, 'turnserver.conf');
  fs.writeFileSync(conf, [
    `listening-ip=${address}`, `relay-ip=${address}`, 'listening-port=3478', 'relay-threads=1', 'lt-cred-mech', 'realm=rivero.test',
    `user=${CREDENTIALS.username}:${CREDENTIALS.credential}`, `userdb=${dir}/users`, `pidfile=${dir}/pid`, 'log-file=stdout', 'simple-log',
    'verbose', 'no-cli', 'no-tls', 'no-dtls', '',
  ].join('\n'));
  const child = namespace.spawn('turnserver', ['-c', conf]);
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { log += data; });
  // Runs inside: asks until there is an answer over TCP, which coturn listens to last.
  const probe = namespace.spawn(process.execPath, ['-e', `
    const ask = () => require('node:net').connect(3478, '${address}')
      .on('connect', () => { console.log('there'); process.exit(); }).on('error', () => setTimeout(ask, 20));
    ask();
  `]);
  const said = await Promise.race([new Promise((resolve) => probe.stdout.once('data', resolve)), child.ended]);
  assert.equal(String(said).trim(), 'there', `coturn has started: ${log}`);
  return {
    log: () => log,
    /** Ends it without a word to anybody: what it lent is forgotten. */
    async crash() {
      child.kill('SIGKILL');
      await child.ended;
    },
  };
}

/** Why this machine cannot run relays; undefined when it can. */
function whyNoRelays() {
  const why = whyNoNamespace();
  if (why) return why;
  return spawnSync('turnserver', ['--help']).error ? "turnserver is not installed (Debian's package coturn)" : undefined;
}

const noRelays = whyNoRelays();
if (noRelays) console.log(`skipped: ${noRelays}`);

describe('Chromium and the server through relays', { timeout: 60_000, skip: noRelays }, () => {
  let there, coturn;
  const relayOnly = () => ({
    iceServers: [{ urls: `turn:${there.namespace.address}:3478?transport=udp`, ...CREDENTIALS }], iceTransportPolicy: 'relay',
  });

  before(async () => {
    const namespace = makeNamespace();
    there = { namespace };
    coturn = await startCoturn(namespace);
    const turn = `turnURL=${CREDENTIALS.username}:${CREDENTIALS.credential}@${namespace.address}:3478\n`;
    there = await furnish(namespace, { modules: { 'WebRtcEndpoint.conf.ini': `networkInterfaces=${namespace.interface}\n${turn}` } });
  });

  after(() => leave(there));

  test('a browser behind a relay reaches the server', async () => {
    const { found, offer, pair, figures, pipeline } = await call(there, 'relayed', { configuration: relayOnly() });
    assert.deepEqual(kinds(offer.match(/^a=candidate:.*$/gm)), ['relay'], 'the browser offers nothing else');
    assert.deepEqual(kinds(found), ['host', 'relay'], 'the server offers both');
    const relay = found.find((candidate) => / typ relay /.test(candidate));
    assert.match(relay, new RegExp(`^candidate:\\d+ 1 UDP \\d+ ${there.namespace.address} \\d+ typ relay raddr ${there.namespace.address} rport \\d+$`));
    await until('connected', figures, ({ state }) => state === 'connected', 10_000);
    await comesBack(there, 'relayed', figures);
    const { local } = await figures();
    assert.equal(local.candidateType, 'relay');
    assert.match((await pair()).remoteCandidate, / typ (relay|prflx)/);
    await there.rpc.release(pipeline);
  });

  test('a server that has nothing but a relay is reached through it, over TCP', async () => {
    const prepare = async (endpoint) => {
      const url = await there.rpc.invoke(endpoint, 'getTurnUrl');
      assert.match(url, new RegExp(`@${there.namespace.address}:3478\\?transport=udp$`));
      await there.rpc.invoke(endpoint, 'setTurnUrl', { turnUrl: url.replace('=udp', '=tcp') });
      await there.rpc.invoke(endpoint, 'setNetworkInterfaces', { networkInterfaces: 'none-of-these' });
    };
    const { found, pair, figures, pipeline } = await call(there, 'both', { configuration: relayOnly(), prepare });
    assert.deepEqual(kinds(found), ['relay']);
    await until('connected', figures, ({ state }) => state === 'connected', 10_000);
    await comesBack(there, 'both', figures);
    const { local, remote } = await figures();
    assert.equal(local.candidateType, 'relay');
    const lent = found[0].split(' ')[5];
    assert.equal(String(remote.port), lent, 'the browser sends to the address that the relay has lent');
    assert.match((await pair()).localCandidate, / typ relay /);
    await there.page.evaluate(() => window.both.end());
    await there.rpc.release(pipeline);
    await until('coturn takes its addresses back', async () => coturn.log(), (log) => /REFRESH processed, success/.test(log), 5_000);
    assert.deepEqual(there.page.troubles, []);
  });

  test('a server whose only relay is forgotten in mid-call gets another, and the call goes on', async () => {
    const { rpc } = there;
    const prepare = (endpoint) => rpc.invoke(endpoint, 'setNetworkInterfaces', { networkInterfaces: 'none-of-these' });
    const { endpoint, found, figures, pipeline } = await call(there, 'forgotten', { prepare });
    await rpc.subscribe(endpoint, 'ConnectionStateChanged');
    await until('connected', figures, ({ state }) => state === 'connected', 10_000);
    await comesBack(there, 'forgotten', figures);
    assert.deepEqual(kinds(found), ['relay']);
    await coturn.crash();
    coturn = await startCoturn(there.namespace);
    await until('another relay is told', async () => found.length, (count) => count === 2, 15_000);
    assert.match(found[1], / typ relay /);
    const lent = found.map((candidate) => candidate.split(' ')[5]);
    assert.notEqual(lent[0], lent[1]);
    await until('the browser sends there', figures, ({ remote }) => String(remote?.port) === lent[1], 20_000);
    await comesBack(there, 'forgotten', figures);
    assert.ok(!rpc.events.some((e) => e.object === endpoint && e.type === 'ConnectionStateChanged' && e.data.newState !== 'CONNECTED'), 'it was never disconnected');
    await there.page.evaluate(() => window.forgotten.end());
    await rpc.release(pipeline);
    assert.deepEqual(there.page.troubles, []);
  });
});

const noIpv6 = whyNoNamespace({ ipv6: true });
if (noIpv6) console.log(`skipped: ${noIpv6}`);

describe('Chromium and the server with IPv6 only', { timeout: 30_000, skip: noIpv6 }, () => {
  let there;

  before(async () => {
    const namespace = makeNamespace({ ipv6: true });
    there = { namespace };
    there = await furnish(namespace, {});
  });

  after(() => leave(there));

  test('they connect, and picture and sound come back', async () => {
    const { found, pair, figures } = await call(there, 'six', {});
    const addresses = found.map((candidate) => candidate.split(' ')[4]);
    assert.deepEqual([...new Set(addresses)], [there.namespace.address], 'there is no other');
    await until('connected', figures, ({ state }) => state === 'connected', 10_000);
    await comesBack(there, 'six', figures);
    // The browser also tries from its loopback address, which is of that family as well.
    const { local, remote } = await figures();
    assert.equal(remote.address, there.namespace.address);
    assert.ok(isIPv6(local.address), local.address);
    const { localCandidate, remoteCandidate } = await pair();
    assert.equal(localCandidate.split(' ')[4], there.namespace.address);
    assert.ok(isIPv6(remoteCandidate.split(' ')[4]), remoteCandidate);
    assert.deepEqual(there.page.troubles, []);
  });
});
