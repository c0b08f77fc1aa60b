// Data channels between two kinds of browsers: what Firefox sends reaches Chromium through the server, and the other way round,
// whichever side has opened the channel. All three run in a network namespace of the test's own.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { until } from './browser.mjs';
import { furnishTwo, leaveTwo } from './firefox.mjs';
import { whyNoNamespace } from './namespace.mjs';

/** Text and binary of each; the last is the longest message that the server takes. */
const SIZES = [1, 1200, 65535, 65536, 65537, 262144];

/** What each page can do; nothing here is of one browser. */
const DATA = () => {
  const hash = (bytes) => bytes.reduce((h, byte) => Math.imul(h ^ byte, 0x01000193), 0x811c9dc5) >>> 0;
  const make = (size, seed) => Uint8Array.from({ length: size }, (_, at) => 32 + ((at * 31 + Math.floor(at / 251) + seed) % 95));
  window.calls = {};
  window.begin = ({ name, opens }) => {
    const peer = new RTCPeerConnection();
    const got = [];
    let channel;
    const adopt = (it) => {
      channel = it;
      channel.binaryType = 'arraybuffer';
      channel.onmessage = ({ data }) => {
        const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data);
        got.push({ binary: typeof data !== 'string', size: bytes.length, hash: hash(bytes) });
      };
    };
    peer.ondatachannel = (event) => adopt(event.channel);
    if (opens) adopt(peer.createDataChannel('chat'));
    const described = async () => {
      await peer.setLocalDescription();
      while (peer.iceGatheringState !== 'complete') await new Promise((resolve) => { peer.onicegatheringstatechange = resolve; });
      return peer.localDescription.sdp;
    };
    window.calls[name] = {
      offer: described,
      answer: (sdp) => peer.setRemoteDescription({ type: 'offer', sdp }).then(described),
      accept: (sdp) => peer.setRemoteDescription({ type: 'answer', sdp }),
      candidate: (candidate) => peer.addIceCandidate(candidate),
      state: () => ({ state: channel?.readyState ?? 'none', label: channel?.label ?? '', got: got.length, most: peer.sctp?.maxMessageSize }),
      /** Sends messages, and says what the other side must get. */
      send: (messages) => messages.map(({ size, binary, seed }) => {
        const bytes = make(size, seed);
        channel.send(binary ? bytes : new TextDecoder().decode(bytes));
        return { binary, size, hash: hash(bytes) };
      }),
      take: () => got.splice(0),
      end: () => peer.close(),
    };
  };
};

const missing = whyNoNamespace();
if (missing) console.log(`skipped: ${missing}`);

describe('data channels between Firefox and Chromium', { timeout: 60_000, skip: missing }, () => {
  const there = {};

  before(async () => {
    await furnishTwo(there);
    for (const page of Object.values(there.pages)) await page.evaluate(DATA);
  });
  after(() => leaveTwo(there));

  const of = (name, page, method, value) => there.pages[page].evaluate(([name, method, value]) => window.calls[name][method](value), [name, method, value]);

  /** Calls an endpoint from a page. Where the server opens the channel, it makes the offer too. */
  async function call(name, page, pipeline, opens) {
    const { rpc, namespace } = there;
    const endpoint = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline, useDataChannels: true });
    rpc.on(endpoint, 'IceCandidateFound', ({ candidate: { candidate, sdpMid, sdpMLineIndex } }) => {
      of(name, page, 'candidate', { candidate, sdpMid, sdpMLineIndex }).catch(() => {});
    });
    for (const type of ['IceCandidateFound', 'DataChannelOpened', 'DataChannelClosed', 'Error']) await rpc.subscribe(endpoint, type);
    await there.pages[page].evaluate((what) => window.begin(what), { name, opens: opens === 'browser' });
    if (opens === 'browser') {
      const answer = await rpc.invoke(endpoint, 'processOffer', { offer: await of(name, page, 'offer') });
      await of(name, page, 'accept', answer);
    } else {
      const offer = await rpc.invoke(endpoint, 'generateOffer');
      await rpc.invoke(endpoint, 'createDataChannel', { label: 'chat' });
      const answer = await of(name, page, 'answer', offer);
      assert.match(answer, new RegExp(`candidate:.* ${namespace.address.replaceAll('.', '\\.')} \\d+ typ host`), `${page} has a candidate in the namespace`);
      await rpc.invoke(endpoint, 'processAnswer', { answer });
    }
    await rpc.invoke(endpoint, 'gatherCandidates');
    const { most } = await until(`the channel of ${page}`, () => of(name, page, 'state'), ({ state, label }) => state === 'open' && label === 'chat', 15_000);
    assert.equal(most, 262144, `${page} may send as much as the server takes`);
    return endpoint;
  }

  for (const opens of ['browser', 'server']) {
    test(`text and binary up to 256 KiB pass both ways over channels that the ${opens} has opened`, { timeout: 45_000 }, async () => {
      const { rpc } = there;
      const pipeline = await rpc.create('MediaPipeline');
      const endpoints = {};
      for (const page of ['firefox', 'chromium']) endpoints[page] = await call(opens, page, pipeline, opens);
      await rpc.invoke(endpoints.firefox, 'connect', { sink: endpoints.chromium });
      await rpc.invoke(endpoints.chromium, 'connect', { sink: endpoints.firefox });
      const messages = SIZES.flatMap((size, seed) => [{ size, seed, binary: true }, { size, seed, binary: false }]);
      for (const [from, to] of [['firefox', 'chromium'], ['chromium', 'firefox']]) {
        const sent = await of(opens, from, 'send', messages);
        await until(`${sent.length} messages from ${from}`, () => of(opens, to, 'state'), ({ got }) => got >= sent.length, 15_000);
        assert.deepEqual(await of(opens, to, 'take'), sent, `${from} to ${to}`);
      }
      for (const [page, endpoint] of Object.entries(endpoints)) {
        const stats = Object.values(await rpc.invoke(endpoint, 'getStats', { mediaType: 'DATA' }));
        const { label, state, messagesReceived, messagesSent } = stats.find(({ type }) => type === 'datachannel');
        assert.deepEqual({ label, state, messagesReceived, messagesSent },
          { label: 'chat', state: 'open', messagesReceived: messages.length, messagesSent: messages.length }, page);
        await of(opens, page, 'end');
        await rpc.event((e) => e.object === endpoint && e.type === 'DataChannelClosed', `the end of the channel of ${page}`);
      }
      assert.deepEqual(rpc.events.filter(({ type }) => type === 'Error'), []);
      await rpc.release(pipeline);
    });
  }

  test('nothing went wrong on the way', () => {
    assert.deepEqual(there.pages.chromium.troubles, []);
    assert.ok(!/panicked| ERROR /.test(there.server.log()), there.server.log().split('\n').filter((line) => /panicked| ERROR /.test(line)).join('\n'));
  });
});
