// getStats beside Chromium's own of the same call: every key of the descriptors with its type, and figures that agree. What
// one side has sent the other has received; what is reported over RTCP is the same at both ends. First over loopback as it
// is, then over a path that delays and loses.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { LOOK, launch, newPage, serveTestPage, until } from './browser.mjs';
import { CALLS, join } from './call.mjs';
import { API_VERSIONS, readApi } from './kmd.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';
import { startUdpProxy } from './udp-proxy.mjs';

const APIS = API_VERSIONS.map(readApi);
const KINDS = ['audio', 'video'];
/** What each class calls itself. Certificates belong to a transport: there is no word for them alone. */
const TYPES = {
  RTCInboundRTPStreamStats: ['inboundrtp'], RTCOutboundRTPStreamStats: ['outboundrtp'], RTCPeerConnectionStats: ['session'], RTCDataChannelStats: ['datachannel'],
  RTCTransportStats: ['transport'], RTCCertificateStats: ['transport'], RTCIceCandidatePairStats: ['candidatepair'],
  RTCIceCandidateAttributes: ['localcandidate', 'remotecandidate'], ElementStats: ['element'], EndpointStats: ['endpoint'],
};
/** Chromium answers from a reading up to 50 ms old, and a packet may be on its way: readings are taken this far apart. */
const APART_MS = 120;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Chromium's entry of a type, of a kind of media where that matters. */
const one = (stats, type, kind) => stats.find((s) => s.type === type && (kind === undefined || s.kind === kind));

function assertBetween(low, value, high, what) {
  assert.ok(low <= value && value <= high, `${what}: ${low} <= ${value} <= ${high}`);
}
function assertNear(value, other, tolerance, what) {
  assert.ok(Math.abs(value - other) <= tolerance, `${what}: ${value} and ${other} differ by at most ${tolerance}`);
}

describe('statistics beside those of Chromium', { timeout: 90_000 }, () => {
  let browser, server, site, rpc, page;
  const call = {}, endpoint = {};
  let pipeline, passThrough;
  const read = (object, mediaType) => rpc.invoke(object, 'getStats', mediaType ? { mediaType } : {});
  const list = async (object, mediaType) => Object.values(await read(object, mediaType));
  const stream = (stats, ssrc) => stats.find((s) => s.ssrc === String(ssrc));

  /** The server's reading between two of Chromium's. */
  async function bracket(name) {
    const early = await call[name].stats();
    await pause(APART_MS);
    const ours = await list(endpoint[name]);
    await pause(APART_MS);
    return { early, ours, late: await call[name].stats() };
  }

  /** A publisher and a viewer with endpoints of their own, named `pub` and `view` and what stands behind. */
  async function begin(suffix, options = () => ({})) {
    for (const [name, way] of [[`pub${suffix}`, { receive: false }], [`view${suffix}`, { send: false }]]) {
      endpoint[name] = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline, useDataChannels: name === 'view' });
      await rpc.subscribe(endpoint[name], 'Error');
      if (way.send === false) await rpc.invoke(endpoint[`pub${suffix}`], 'connect', { sink: endpoint[name] });
      call[name] = await join(page, rpc, endpoint[name], name, { ...way, ...options(name), ...(name === 'view' ? { channel: 'chat' } : {}) });
    }
    await until('frames', call[`view${suffix}`].figures, (f) => f.decoded > 50 && f.audioPackets > 50);
    await until('reports of both sides', async () => {
      const [pub, view] = [await call[`pub${suffix}`].stats(), await call[`view${suffix}`].stats()];
      const sent = (await list(endpoint[`view${suffix}`])).filter((s) => s.type === 'outboundrtp');
      return KINDS.every((kind) => one(pub, 'remote-inbound-rtp', kind) && one(view, 'remote-outbound-rtp', kind)) && sent.every((s) => s.roundTripTime > 0);
    }, (good) => good, 10_000);
  }

  before(async () => {
    [browser, server, site] = await Promise.all([launch(), startServer(), serveTestPage()]);
    rpc = await Rpc.open(server.url);
    page = await newPage(browser);
    await page.addInitScript(LOOK);
    await page.addInitScript(CALLS);
    await page.goto(site.url);
    pipeline = await rpc.create('MediaPipeline');
    passThrough = await rpc.create('PassThrough', { mediaPipeline: pipeline });
  });
  after(async () => {
    await rpc?.close();
    await Promise.all([browser?.close(), site?.close()]);
    await server?.stop();
  });

  test('before a call there is nothing to tell', async () => {
    const fresh = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
    for (const mediaType of [undefined, 'AUDIO', 'VIDEO', 'DATA']) assert.equal(await read(fresh, mediaType), null);
    assert.equal(await read(passThrough), null);
    await rpc.release(fresh);
  });

  test('every key of both API versions, by id, at the time of the reading', async () => {
    await begin('');
    await rpc.invoke(endpoint.pub, 'connect', { sink: passThrough });
    await rpc.invoke(pipeline, 'setLatencyStats', { latencyStats: true });
    await until('latencies', () => list(endpoint.view), (stats) => stats.some((s) => s.E2ELatency?.length === 2 && s.E2ELatency.every((l) => l.avg > 0)));
    const seen = new Set();
    for (const object of [endpoint.pub, endpoint.view, passThrough]) {
      const began = Date.now();
      const stats = await read(object);
      for (const [id, stat] of Object.entries(stats)) {
        seen.add(stat.__type__);
        assert.equal(stat.id, id);
        for (const api of APIS) assert.deepEqual(api.faults(stat, stat.__type__, stat.__type__), [], `${api.version}: ${JSON.stringify(stat)}`);
        assert.ok(TYPES[stat.__type__].includes(stat.type), `${stat.__type__} is of type ${stat.type}`);
        assertBetween(began - 1, stat.timestampMillis, Date.now() + 1, 'ms since 1970');
        assertNear(stat.timestamp, stat.timestampMillis / 1000, 1e-6, 'the same in seconds');
        for (const latency of [...(stat.inputLatency ?? []), ...(stat.E2ELatency ?? [])]) assertBetween(1, latency.avg, 1e9, 'ns');
      }
    }
    assert.deepEqual([...seen].sort(), Object.keys(TYPES).sort());
    await rpc.invoke(pipeline, 'setLatencyStats', { latencyStats: false });
    await rpc.invoke(endpoint.pub, 'disconnect', { sink: passThrough });
  });

  test('a media type selects its streams; ids stay and lead to each other', async () => {
    for (const [name, direction, type] of [['pub', 'outbound-rtp', 'inboundrtp'], ['view', 'inbound-rtp', 'outboundrtp']]) {
      const chromium = await call[name].stats();
      for (const kind of KINDS) {
        const stats = await list(endpoint[name], kind.toUpperCase());
        assert.deepEqual(stats.map((s) => [s.type, s.ssrc]), [[type, String(one(chromium, direction, kind).ssrc)]], `${name} ${kind}`);
      }
      const [first, second] = [await read(endpoint[name]), await read(endpoint[name])];
      assert.deepEqual(Object.keys(second), Object.keys(first));
      for (const stat of Object.values(first)) {
        for (const field of ['transportId', 'selectedCandidatePairId', 'localCandidateId', 'remoteCandidateId', 'localCertificateId', 'remoteCertificateId']) {
          if (field in stat) assert.ok(stat[field] in first, `${stat.type}.${field} is ${stat[field]}`);
        }
      }
      assert.deepEqual(Object.values(first).filter((s) => s.type === type).map((s) => s.ssrc).sort(), KINDS.map((kind) => String(one(chromium, direction, kind).ssrc)).sort());
    }
    assert.equal(await read(endpoint.pub, 'DATA'), null);
    const data = await list(endpoint.view, 'DATA');
    assert.deepEqual(data.map((s) => s.type).sort(), ['datachannel', 'session']);
    const theirs = one(await call.view.stats(), 'data-channel');
    const ours = data.find((s) => s.type === 'datachannel');
    assert.deepEqual([ours.label, ours.protocol, ours.datachannelid, ours.state], [theirs.label, theirs.protocol, theirs.dataChannelIdentifier, theirs.state]);
  });

  test('what Chromium sends is what the server receives', async () => {
    // Key frames are wanted until there is something to count; requests that come close together are made one.
    await until('two requests for a key frame', async () => {
      await rpc.invoke(endpoint.view, 'requestKeyframe');
      return one(await call.pub.stats(), 'outbound-rtp', 'video').pliCount;
    }, (count) => count >= 2);
    const { early, ours, late } = await bracket('pub');
    for (const kind of KINDS) {
      const [low, high] = [early, late].map((stats) => one(stats, 'outbound-rtp', kind));
      const got = stream(ours, low.ssrc);
      assertBetween(low.packetsSent, got.packetsReceived, high.packetsSent, `${kind} packets`);
      assertBetween(low.bytesSent, got.bytesReceived, high.bytesSent, `${kind} bytes`);
      assert.ok(got.packetsReceived > 50);
      for (const count of ['pliCount', 'firCount', 'nackCount']) assertBetween(low[count] ?? 0, got[count], high[count] ?? 0, `${kind} ${count}`);
      const reports = [early, late].map((stats) => one(stats, 'remote-inbound-rtp', kind));
      assert.ok(reports.some((r) => Math.abs(r.jitter - got.jitter) < 1e-6), `${kind} jitter in s: ${got.jitter}, told ${reports.map((r) => r.jitter)}`);
      assertBetween(0, got.jitter, 0.1, 'jitter in s');
      for (const report of reports) assert.deepEqual([got.packetsLost, got.fractionLost], [report.packetsLost, report.fractionLost]);
      assert.equal(got.packetsLost, 0);
    }
    const video = stream(ours, one(early, 'outbound-rtp', 'video').ssrc);
    assert.ok(video.pliCount + video.firCount >= 2);
  });

  test('what the server sends is what Chromium receives', async () => {
    const { early, ours, late } = await bracket('view');
    for (const kind of KINDS) {
      const [low, high] = [early, late].map((stats) => one(stats, 'inbound-rtp', kind));
      const sent = stream(ours, low.ssrc);
      assertBetween(low.packetsReceived, sent.packetsSent, high.packetsReceived, `${kind} packets`);
      assertBetween(low.bytesReceived, sent.bytesSent, high.bytesReceived, `${kind} bytes`);
      assert.ok(sent.packetsSent > 50);
      for (const count of ['pliCount', 'firCount', 'nackCount']) assertBetween(low[count] ?? 0, sent[count], high[count] ?? 0, `${kind} ${count}`);
      assert.deepEqual([sent.packetsLost, sent.fractionLost], [low.packetsLost, 0]);
      const told = one(late, 'remote-outbound-rtp', kind);
      assertBetween(1, told.packetsSent, sent.packetsSent + 20, 'packets by the sender reports');
      assert.ok(sent.roundTripTime > 0 && sent.roundTripTime < 0.05, `seconds over loopback: ${sent.roundTripTime}`);
    }
  });

  test('bitrates: the REMB of each side is what the other goes by', async () => {
    // The estimates move twice a second: a moment is looked for at which both sides have the same one.
    const agree = (other) => ({ ours, theirs }) => ours > 0 && Math.abs(ours - theirs) <= ours * other;
    const selected = (stats) => stats.filter((s) => s.type === 'candidate-pair');
    const moment = (name, type, field) => async () => {
      const ours = (await list(endpoint[name], 'VIDEO')).find((s) => s.type === type).remb;
      return { ours, theirs: Math.max(0, ...selected(await call[name].stats()).map((pair) => pair[field] ?? 0)) };
    };
    await until('the publisher is held to our REMB', moment('pub', 'inboundrtp', 'availableOutgoingBitrate'), agree(0.05), 10_000);
    await until('we know the REMB of the viewer', moment('view', 'outboundrtp', 'availableIncomingBitrate'), agree(0.05), 10_000);
    for (const [name, field] of [['pub', 'availableIncomingBitrate'], ['view', 'availableOutgoingBitrate']]) {
      const stats = await list(endpoint[name]);
      const pair = stats.find((s) => s.type === 'candidatepair');
      assert.equal(pair[field], Math.max(...stats.map((s) => s.remb ?? 0)));
    }
  });

  test('transport, candidates, pair and certificates are Chromium\'s, seen from the other end', async () => {
    for (const name of ['pub', 'view']) {
      await until('the time there and back', async () => (await list(endpoint[name])).find((s) => s.type === 'candidatepair').roundTripTime, (time) => time > 0, 10_000);
      const { early, ours, late } = await bracket(name);
      const [low, high] = [early, late].map((stats) => one(stats, 'transport'));
      const transport = ours.find((s) => s.__type__ === 'RTCTransportStats');
      assertBetween(low.bytesSent, transport.bytesReceived, high.bytesSent, `${name} bytes to us`);
      assertBetween(low.bytesReceived, transport.bytesSent, high.bytesReceived, `${name} bytes to Chromium`);
      assert.deepEqual([transport.activeConnection, transport.rtcpTransportStatsId], [true, '']);

      const byId = (stats, id) => stats.find((s) => s.id === id);
      for (const [mine, theirs] of [['localCertificateId', 'remoteCertificateId'], ['remoteCertificateId', 'localCertificateId']]) {
        const [a, b] = [byId(ours, transport[mine]), byId(late, high[theirs])];
        for (const field of ['fingerprint', 'fingerprintAlgorithm', 'base64Certificate']) assert.equal(a[field], b[field], field);
      }

      const place = (c) => [c.ipAddress ?? c.address, c.portNumber ?? c.port, c.transport ?? c.protocol, c.priority];
      // Once connected Chromium forgets the candidates that it needs no more: first those of TCP.
      const known = late.filter((s) => s.type === 'remote-candidate').map((c) => place(c).join(' '));
      const local = ours.filter((s) => s.type === 'localcandidate');
      const shown = (protocol) => local.filter((c) => c.transport === protocol).map((c) => place(c).join(' '));
      for (const text of known) assert.ok([...shown('udp'), ...shown('tcp')].includes(text), `${text} is one of ours`);
      for (const text of shown('udp')) assert.ok(known.includes(text), `Chromium knows ${text}`);
      for (const candidate of local) assert.deepEqual([candidate.candidateType, candidate.addressSourceUrl], ['host', '']);

      const pair = byId(ours, transport.selectedCandidatePairId);
      const [here, there] = [byId(ours, pair.localCandidateId), byId(ours, pair.remoteCandidateId)];
      // Both sides may prefer another of the pairs that Chromium nominated.
      const same = late.find((s) => s.type === 'candidate-pair' && s.nominated
        && String(place(byId(late, s.remoteCandidateId))) === String(place(here)) && String(place(byId(late, s.localCandidateId))) === String(place(there)));
      assert.ok(same, `Chromium nominated ${place(here)} with ${place(there)}`);
      assert.equal(pair.priority, same.priority);
      assert.deepEqual([pair.state, pair.nominated, pair.writable, pair.readable], ['succeeded', true, true, true]);
      assert.deepEqual([pair.bytesSent, pair.bytesReceived], [transport.bytesSent, transport.bytesReceived]);
      assertNear(pair.roundTripTime, same.currentRoundTripTime, 0.05, 'seconds to the peer and back');
    }
  });

  test('losses, requests and times over a path that delays and loses', { timeout: 40_000 }, async () => {
    const [DELAY_MS, ROUND_TRIP] = [40, 0.08];
    const paths = {};
    const onTheWay = (name) => ({
      blind: true,
      rewrite(candidate) {
        const found = candidate.match(/^(candidate:\S+ 1 UDP \d+ 127\.0\.0\.1) (\d+) (typ host.*)$/);
        if (!found) return undefined;
        paths[name].target = Number(found[2]);
        return `${found[1]} ${paths[name].port} ${found[3]}`;
      },
    });
    for (const name of ['pub', 'view']) {
      await call[name].end();
      await rpc.release(endpoint[name]);
      paths[`${name}Bad`] = await startUdpProxy({ delayMs: DELAY_MS });
    }
    try {
      await begin('Bad', onTheWay);
      for (const path of Object.values(paths)) path.loseEach = 30;
      const streams = async () => {
        const [pub, view] = [await call.pubBad.stats(), await call.viewBad.stats()];
        const [from, to] = [await list(endpoint.pubBad), await list(endpoint.viewBad)];
        return Object.fromEntries(KINDS.map((kind) => {
          const [out, into] = [one(pub, 'outbound-rtp', kind), one(view, 'inbound-rtp', kind)];
          return [kind, { out, heard: one(pub, 'remote-inbound-rtp', kind), into, inbound: stream(from, out.ssrc), outbound: stream(to, into.ssrc) }];
        }));
      };
      const figures = ({ out, heard, into, inbound, outbound }) => ({
        ours: [inbound.packetsLost, inbound.nackCount, inbound.pliCount + inbound.firCount, outbound.packetsLost, outbound.nackCount, outbound.pliCount + outbound.firCount],
        theirs: [heard.packetsLost, out.nackCount ?? 0, (out.pliCount ?? 0) + (out.firCount ?? 0), into.packetsLost, into.nackCount ?? 0, (into.pliCount ?? 0) + (into.firCount ?? 0)],
      });
      let seen;
      const look = async () => {
        seen = await streams();
        return KINDS.map((kind) => figures(seen[kind]));
      };
      await until('losses both ways', look, ([{ ours: audio }, { ours: video }]) => audio[0] >= 3 && audio[3] >= 3 && video[1] >= 3 && video[4] >= 3, 15_000);
      for (const path of Object.values(paths)) path.loseEach = Infinity;
      // The path is whole again: the next reports of both sides bring all figures together.
      const equal = ({ ours, theirs }) => JSON.stringify(ours) === JSON.stringify(theirs);
      await until('the same figures at both ends', look, (all) => all.every(equal), 10_000);
      assert.ok(paths.pubBad.lost.up >= seen.audio.inbound.packetsLost, 'only what the path lost is lost');
      for (const kind of KINDS) {
        const { heard, outbound } = seen[kind];
        assertBetween(ROUND_TRIP - 0.005, outbound.roundTripTime, 2.5 * ROUND_TRIP, `${kind}: there and back, in s, by the viewer's reports`);
        assertBetween(ROUND_TRIP - 0.005, heard.roundTripTime, 2.5 * ROUND_TRIP, `${kind}: the same by Chromium, of ours`);
      }
      for (const name of ['pubBad', 'viewBad']) {
        const ours = await until('the time there and back', () => list(endpoint[name]), (stats) => stats.find((s) => s.type === 'candidatepair').roundTripTime > 0, 10_000);
        const pair = ours.find((s) => s.type === 'candidatepair');
        const theirs = (await call[name].stats()).find((s) => s.type === 'candidate-pair' && s.nominated);
        for (const value of [pair.roundTripTime, theirs.currentRoundTripTime]) assertBetween(ROUND_TRIP - 0.005, value, 2.5 * ROUND_TRIP, 'by ICE, in s');
        const remote = ours.find((s) => s.id === pair.remoteCandidateId);
        assert.deepEqual([remote.candidateType, remote.ipAddress], ['peerreflexive', '127.0.0.1'], 'nobody told us of the path');
      }
    } finally {
      for (const path of Object.values(paths)) path.close();
    }
  });

  test('nothing went wrong on the way', () => {
    assert.deepEqual(page.troubles, []);
    assert.deepEqual(rpc.events.filter((e) => e.type === 'Error').map((e) => e.data.description), []);
  });
});
