// Calls of a WebRtcEndpoint at times and with candidates that no textbook has: each is answered as Kurento answers it, or better, and
// leaves the endpoint as it was. What Kurento answers was asked of a real one where the table does not say otherwise.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

const EVENTS = ['IceCandidateFound', 'IceGatheringDone', 'IceComponentStateChanged', 'Error'];
const ALREADY = 40208;

/** Steps until a point, and then one that is answered with a code, or with none. */
const NEGOTIATIONS = [
  { title: 'the same offer again', steps: ['offer'], then: 'offer', code: ALREADY },
  { title: 'another offer', steps: ['offer'], then: 'otherOffer', code: ALREADY },
  { title: 'another offer after gathering', steps: ['offer', 'gather'], then: 'otherOffer', code: ALREADY },
  { title: 'an offer of ours after that of the peer', steps: ['offer'], then: 'generate', code: ALREADY },
  { title: 'an answer to nothing', steps: [], then: 'answer', code: 40209 },
  { title: 'two offers of ours', steps: ['generate'], then: 'generate', code: ALREADY },
  { title: 'an offer after ours', steps: ['generate'], then: 'offer', code: ALREADY },
  { title: 'the same answer again', steps: ['generate', 'answer'], then: 'answer', code: 40210 },
  { title: 'an offer after an answer', steps: ['generate', 'answer'], then: 'otherOffer', code: ALREADY },
  { title: 'an offer that is empty', steps: [], then: 'emptyOffer', code: 40201 },
  { title: 'an offer that is none', steps: [], then: 'badOffer', code: 40201 },
  { title: 'an answer that is none', steps: ['generate'], then: 'badAnswer', code: 40201 },
  { title: 'gathering before there is anything to gather for', steps: [], then: 'gather' },
  { title: 'gathering again', steps: ['offer', 'gather'], then: 'gather' },
  { title: 'gathering again for an offer of ours', steps: ['generate', 'gather'], then: 'gather' },
  { title: 'our description before there is one', steps: [], then: 'local', code: 40202 },
  { title: 'that of the peer before there is one', steps: ['generate'], then: 'remote', code: 40203 },
];

/** What addIceCandidate answers to a candidate once there is a description; before that it takes everything. */
const CANDIDATES = [
  { title: 'none any more', text: '' },
  { title: 'UDP', text: 'candidate:1 1 UDP 2122252543 192.0.2.7 51332 typ host generation 0 ufrag abcd network-id 1' },
  { title: 'an mDNS name', text: 'candidate:1 1 udp 2122252543 4c1ff5ba-55f1-4b7d-b0a5-3f4bb9b2a6cd.local 51332 typ host' },
  { title: 'a name that nobody resolves', text: 'candidate:1 1 udp 2122252543 host.invalid 51332 typ host' },
  { title: 'TCP, active', text: 'candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active' },
  { title: 'TCP, passive', text: 'candidate:1 1 tcp 1518280447 192.0.2.7 9100 typ host tcptype passive' },
  { title: 'IPv6', text: 'candidate:1 1 UDP 2122252543 2001:db8::7 51332 typ host' },
  { title: 'link-local IPv6', text: 'candidate:1 1 UDP 2122252543 fe80::7 51332 typ host' },
  // Not asked of Kurento. A zone means something on the peer's machine only: such an address is left out, like a name.
  { title: 'link-local IPv6 with a zone', text: 'candidate:1 1 UDP 2122252543 fe80::7%eth0 51332 typ host' },
  { title: 'RTCP', text: 'candidate:1 2 UDP 2122252543 192.0.2.7 51333 typ host' },
  { title: 'a reflexive one behind a name', text: 'candidate:1 1 udp 1 198.51.100.7 51332 typ srflx raddr 4c1ff5ba.local rport 0' },
  { title: 'with a= in front', text: 'a=candidate:1 1 UDP 2122252543 192.0.2.7 51334 typ host' },
  { title: 'junk', text: 'junk', code: 40401 },
  { title: 'an unreadable port', text: 'candidate:1 1 UDP 1 192.0.2.7 99999 typ host', code: 40401 },
  { title: 'a name of signs', text: 'candidate:1 1 UDP 1 %%% 5000 typ host', code: 40401 },
];

describe('calls out of order', { timeout: 60_000 }, () => {
  let server, rpc, pipeline, offers, answers;

  const make = () => rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline });
  const ask = (endpoint, operation, params) => rpc.invoke(endpoint, operation, params);

  before(async () => {
    server = await startServer();
    rpc = await Rpc.open(server.url);
    pipeline = await rpc.create('MediaPipeline');
    offers = [];
    for (let n = 0; n < 2; n += 1) offers.push(await ask(await make(), 'generateOffer'));
  });

  after(async () => {
    await rpc?.close();
    await server?.stop();
  });

  const STEPS = {
    offer: (endpoint) => ask(endpoint, 'processOffer', { offer: offers[0] }),
    otherOffer: (endpoint) => ask(endpoint, 'processOffer', { offer: offers[1] }),
    emptyOffer: (endpoint) => ask(endpoint, 'processOffer', { offer: '' }),
    badOffer: (endpoint) => ask(endpoint, 'processOffer', { offer: 'o=nothing\r\n' }),
    generate: (endpoint) => ask(endpoint, 'generateOffer'),
    async answer(endpoint) {
      const offer = await described(endpoint, 'Local') ?? offers[0];
      answers ??= new Map();
      if (!answers.has(endpoint)) answers.set(endpoint, await ask(await make(), 'processOffer', { offer }));
      return ask(endpoint, 'processAnswer', { answer: answers.get(endpoint) });
    },
    badAnswer: (endpoint) => ask(endpoint, 'processAnswer', { answer: 'o=nothing\r\n' }),
    async gather(endpoint) {
      const done = rpc.events.filter((e) => e.object === endpoint && e.type === 'IceGatheringDone').length;
      await ask(endpoint, 'gatherCandidates');
      if (done === 0 && await described(endpoint, 'Local')) await rpc.event((e) => e.object === endpoint && e.type === 'IceGatheringDone', 'the end of gathering');
    },
    local: (endpoint) => ask(endpoint, 'getLocalSessionDescriptor'),
    remote: (endpoint) => ask(endpoint, 'getRemoteSessionDescriptor'),
  };

  const described = (endpoint, whose) => ask(endpoint, `get${whose}SessionDescriptor`).catch(() => undefined);
  /** Everything that an application can see of a negotiation. */
  const look = async (endpoint) => ({
    local: await described(endpoint, 'Local'), remote: await described(endpoint, 'Remote'), ice: await ask(endpoint, 'getIceConnectionState'),
    connection: await ask(endpoint, 'getConnectionState'), events: rpc.events.filter((e) => e.object === endpoint).length,
  });
  const codeOf = (promise) => promise.then(() => undefined, ({ code }) => code);

  for (const { title, steps, then, code } of NEGOTIATIONS) {
    test(`${title}: ${code ?? 'taken'}`, async () => {
      const endpoint = await make();
      for (const type of EVENTS) await rpc.subscribe(endpoint, type);
      for (const step of steps) await STEPS[step](endpoint);
      const before = await look(endpoint);
      assert.equal(await codeOf(STEPS[then](endpoint)), code);
      // Whatever it tells has been told when the next call is answered.
      assert.deepEqual(await look(endpoint), before, 'nothing has changed, and nothing was told');
      if (steps.length === 0) await STEPS.offer(endpoint);
      if (steps.join() === 'generate') await STEPS.answer(endpoint);
      assert.ok(await described(endpoint, 'Local'), 'it can be negotiated as before');
      await rpc.release(endpoint);
    });
  }

  for (const stage of [[], ['offer'], ['offer', 'gather'], ['generate', 'gather']]) {
    test(`candidates of all kinds ${stage.length ? `after ${stage.join(' and ')}` : 'before anything else'}`, async () => {
      const endpoint = await make();
      for (const type of EVENTS) await rpc.subscribe(endpoint, type);
      for (const step of stage) await STEPS[step](endpoint);
      for (const { title, text, code } of CANDIDATES) {
        for (const sdpMLineIndex of [0, 1, 7]) {
          const candidate = { candidate: text, sdpMid: String(sdpMLineIndex), sdpMLineIndex };
          assert.equal(await codeOf(ask(endpoint, 'addIceCandidate', { candidate })), stage.length ? code : undefined, title);
        }
      }
      if (stage.length === 0) await STEPS.offer(endpoint);
      const [{ state }] = await ask(endpoint, 'getIceConnectionState');
      assert.ok(!['FAILED', 'READY'].includes(state), state);
      assert.deepEqual(rpc.events.filter((e) => e.object === endpoint && e.type === 'Error'), []);
      await rpc.release(endpoint);
    });
  }

  test('candidates that come before the offer are used: two endpoints connect by them', async () => {
    const [caller, callee] = [await make(), await make()];
    for (const endpoint of [caller, callee]) for (const type of [...EVENTS, 'ConnectionStateChanged']) await rpc.subscribe(endpoint, type);
    const offer = await ask(caller, 'generateOffer');
    await STEPS.gather(caller);
    const found = rpc.events.filter((e) => e.object === caller && e.type === 'IceCandidateFound').map(({ data }) => data.candidate);
    assert.ok(found.length > 0);
    for (const { candidate, sdpMid, sdpMLineIndex } of found) await ask(callee, 'addIceCandidate', { candidate: { candidate, sdpMid, sdpMLineIndex } });
    const answer = await ask(callee, 'processOffer', { offer });
    await ask(caller, 'processAnswer', { answer });
    await STEPS.gather(callee);
    for (const endpoint of [caller, callee]) await rpc.event((e) => e.object === endpoint && e.type === 'ConnectionStateChanged' && e.data.newState === 'CONNECTED', 'CONNECTED');
    for (const endpoint of [caller, callee]) await ask(endpoint, 'gatherCandidates');
    for (const endpoint of [caller, callee]) assert.equal(await ask(endpoint, 'getConnectionState'), 'CONNECTED');
    const [{ state }] = await ask(callee, 'getIceConnectionState');
    assert.match(state, /^(CONNECTED|READY)$/, 'gathering again leaves it connected');
  });

  test('the server is well', () => {
    assert.ok(!/panicked/.test(server.log()), server.log());
  });
});
