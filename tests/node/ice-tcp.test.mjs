// Chromium where no UDP passes: picture and sound go to the server and back over TCP. Browser and server run in a network
// namespace of the test's own, which refuses every UDP datagram.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { LOOK, launch, newPage, until } from './browser.mjs';
import { makeNamespace, whyNoNamespace } from './namespace.mjs';
import { Rpc } from './rpc.mjs';
import { binary, startServer } from './server.mjs';

const FRAMES = 30;

/** What the page can do. */
const CALL = () => {
  const peer = new RTCPeerConnection();
  const video = document.body.appendChild(document.createElement('video'));
  Object.assign(video, { id: 'back', autoplay: true, playsInline: true, srcObject: new MediaStream() });
  window.call = {
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
        lost: inbound('video').packetsLost ?? 0, energy: inbound('audio').totalAudioEnergy ?? 0,
        local: stats.get(pair?.localCandidateId), remote: stats.get(pair?.remoteCandidateId),
      };
    },
  };
};

/** Has a namespace refuse UDP, of both families and on every interface, its loopback included. Returns why that is not possible. */
function refuseUdp(name) {
  for (const family of ['-4', '-6']) {
    // The table of local addresses is looked up first, before any rule of ours, unless it is moved behind them.
    for (const rule of ['add pref 1 ipproto udp prohibit', 'add pref 2 lookup local', 'delete pref 0']) {
      const done = spawnSync('ip', [family, '-n', name, 'rule', ...rule.split(' ')], { encoding: 'utf8' });
      if (done.status !== 0) return `UDP cannot be blocked here: ip ${family} rule ${rule}: ${done.stderr?.trim() ?? done.error}`;
    }
  }
  return undefined;
}

/** Why this machine cannot run the test; undefined when it can. */
function whyNot() {
  const why = whyNoNamespace();
  if (why) return why;
  const trial = `rivero-udp-${process.pid}`;
  spawnSync('ip', ['netns', 'add', trial]);
  try {
    return refuseUdp(trial);
  } finally {
    spawnSync('ip', ['netns', 'delete', trial]);
  }
}

// Runs inside: says what becomes of a UDP datagram to oneself.
const PROBE = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.bind(0, process.argv[1], () => socket.send('x', socket.address().port, process.argv[1], (error) => {
    console.log(error ? error.code : 'sent');
    socket.close();
  }));
`;

const missing = whyNot();
if (missing) console.log(`skipped: ${missing}`);

describe('Chromium without UDP', { timeout: 60_000, skip: missing }, () => {
  let namespace, server, rpc, chromium, page, endpoint;
  const figures = () => page.evaluate(() => window.call.figures());

  before(async () => {
    namespace = makeNamespace();
    assert.equal(refuseUdp(namespace.name), undefined);
    const { RIVERO_BIN, CHROMIUM } = process.env;
    try {
      process.env.RIVERO_BIN = namespace.wrap(binary());
      process.env.CHROMIUM = namespace.wrap(CHROMIUM ?? '/usr/bin/chromium');
      [server, chromium] = await Promise.all([startServer({ interfaces: namespace.interface }), launch()]);
    } finally {
      for (const [name, value] of Object.entries({ RIVERO_BIN, CHROMIUM })) {
        if (value === undefined) delete process.env[name]; else process.env[name] = value;
      }
    }
    page = await newPage(chromium);
    rpc = await Rpc.open(await namespace.webSocket(server.port, '/kurento'));
    await page.goto(`${server.http}/`);
    await page.evaluate(LOOK);
    await page.evaluate(CALL);
  });

  after(async () => {
    await rpc?.close();
    await chromium?.close();
    try {
      await server?.stop();
    } finally {
      await namespace?.end();
    }
  });

  test('no UDP datagram leaves, not even to oneself', async () => {
    for (const address of [namespace.address, '127.0.0.1']) {
      const probe = namespace.spawn(process.execPath, ['-e', PROBE, address]);
      const said = await Promise.race([new Promise((resolve) => probe.stdout.once('data', resolve)), probe.ended]);
      assert.equal(String(said).trim(), 'EACCES', address);
    }
  });

  test('they connect over TCP', async () => {
    const pipeline = await rpc.create('MediaPipeline');
    endpoint = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
    await rpc.invoke(endpoint, 'connect', { sink: endpoint });
    const found = [];
    rpc.on(endpoint, 'IceCandidateFound', ({ candidate: { candidate, sdpMid, sdpMLineIndex } }) => {
      found.push(candidate);
      page.evaluate((init) => window.call.candidate(init), { candidate, sdpMid, sdpMLineIndex }).catch(() => {});
    });
    for (const type of ['IceCandidateFound', 'NewCandidatePairSelected']) await rpc.subscribe(endpoint, type);
    const offer = await page.evaluate(() => window.call.offer());
    const answer = await rpc.invoke(endpoint, 'processOffer', { offer });
    await page.evaluate((sdp) => window.call.accept(sdp), answer);
    await rpc.invoke(endpoint, 'gatherCandidates');
    const { local, remote } = await until('connected', figures, ({ state }) => state === 'connected', 15_000);
    assert.deepEqual([local.protocol, remote.protocol], ['tcp', 'tcp']);
    const { data: { candidatePair } } = await rpc.event((e) => e.object === endpoint && e.type === 'NewCandidatePairSelected', 'a selected pair');
    assert.match(candidatePair.localCandidate, / TCP \d+ \S+ \d+ typ host tcptype passive/);
    assert.match(candidatePair.remoteCandidate, / TCP /i);
    for (const kind of ['TCP \\d+ \\S+ 9 typ host tcptype active', 'TCP \\d+ \\S+ \\d+ typ host tcptype passive']) {
      assert.ok(found.some((candidate) => new RegExp(kind).test(candidate)), `${kind} among ${found.join(', ')}`);
    }
  });

  test('picture and sound come back, and nothing is lost on the way', async () => {
    const first = await until('a picture', figures, ({ decoded, width }) => decoded > 0 && width > 0, 15_000);
    const later = await until(`${FRAMES} frames more`, figures, ({ decoded }) => decoded >= first.decoded + FRAMES, 10_000);
    assert.equal(later.lost, 0);
    const change = await page.evaluate(() => window.look.change('#back', 500));
    assert.ok(change > 0.1, `the picture moves: ${change}`);
    await until('sound', figures, ({ energy }) => energy > first.energy, 10_000);
    assert.deepEqual(page.troubles, []);
  });

  test('an endpoint that may not use TCP offers none', async () => {
    const other = await rpc.create('WebRtcEndpoint', { mediaPipeline: await rpc.create('MediaPipeline') });
    assert.equal(await rpc.invoke(other, 'getIceTcp'), true);
    await rpc.invoke(other, 'setIceTcp', { iceTcp: false });
    assert.equal(await rpc.invoke(other, 'getIceTcp'), false);
    await rpc.invoke(other, 'generateOffer');
    await rpc.subscribe(other, 'IceGatheringDone');
    await rpc.invoke(other, 'gatherCandidates');
    await rpc.event((e) => e.object === other && e.type === 'IceGatheringDone', 'the end of gathering');
    const described = await rpc.invoke(other, 'getLocalSessionDescriptor');
    assert.match(described, /a=candidate:\S+ 1 UDP /);
    assert.doesNotMatch(described, /a=candidate:\S+ \d TCP /);
  });
});
