// Data channels between two pages through a pipeline, with plain RTCPeerConnections in the pages and kurento-client beside the
// server: what one page sends the other gets, whole and in order.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { launch, newPage, serveTestPage, until } from './browser.mjs';
import { VERSIONS, answer, connect, kurento, refusal } from './kurento.mjs';
import { startServer } from './server.mjs';

/** The events of each version: 6.x raises both names. */
const NAMES = {
  '6.18': { opened: ['OnDataChannelOpened', 'DataChannelOpen'], closed: ['OnDataChannelClosed', 'DataChannelClose'] },
  '7.3': { opened: ['DataChannelOpened'], closed: ['DataChannelClosed'] },
};

/** Put into every page: window.data. */
const DATA = () => {
  const hash = (bytes) => {
    let h = 0x811c9dc5;
    for (const byte of bytes) h = Math.imul(h ^ byte, 0x01000193);
    return h >>> 0;
  };
  const make = (size, seed) => Uint8Array.from({ length: size }, (_, at) => 32 + ((at * 31 + Math.floor(at / 251) + seed) % 95));
  window.data = { got: [], closed: [], channels: {} };
  data.adopt = (channel) => {
    channel.binaryType = 'arraybuffer';
    data.channels[channel.label] = channel;
    channel.onmessage = ({ data: message }) => {
      const binary = typeof message !== 'string';
      const bytes = binary ? new Uint8Array(message) : new TextEncoder().encode(message);
      data.got.push({ label: channel.label, binary, size: bytes.length, hash: hash(bytes), at: performance.now() });
    };
    channel.onclose = () => data.closed.push(channel.label);
  };
  data.start = (channels) => {
    data.pc = new RTCPeerConnection();
    data.pc.ondatachannel = ({ channel }) => data.adopt(channel);
    data.pc.onicecandidate = ({ candidate }) => candidate && window.found({ candidate: candidate.candidate, sdpMid: candidate.sdpMid, sdpMLineIndex: candidate.sdpMLineIndex });
    for (const [label, options] of channels) data.adopt(data.pc.createDataChannel(label, options));
  };
  data.offer = async () => {
    const offer = await data.pc.createOffer();
    await data.pc.setLocalDescription(offer);
    return offer.sdp;
  };
  data.answer = async (sdp) => {
    await data.pc.setRemoteDescription({ type: 'offer', sdp });
    const answer = await data.pc.createAnswer();
    await data.pc.setLocalDescription(answer);
    return answer.sdp;
  };
  /** Sends messages of these sizes, text or binary, and says what the other side must get. */
  data.send = (label, messages) => messages.map(({ size, binary, seed }) => {
    const bytes = make(size, seed);
    data.channels[label].send(binary ? bytes : new TextDecoder().decode(bytes));
    return { binary, size, hash: hash(bytes) };
  });
  data.take = () => data.got.splice(0).map(({ at, ...rest }) => rest);
  /** Sends `count` messages of `size` bytes as fast as the browser allows. */
  data.stream = async (label, count, size) => {
    const channel = data.channels[label];
    const bytes = make(size, 1);
    channel.bufferedAmountLowThreshold = 1 << 19;
    for (let n = 0; n < count; n += 1) {
      if (channel.bufferedAmount > 1 << 20) await new Promise((resolve) => channel.addEventListener('bufferedamountlow', resolve, { once: true }));
      channel.send(bytes);
    }
  };
  data.look = () => Object.fromEntries(Object.entries(data.channels).map(([label, c]) => [label, c.readyState]));
};

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

for (const version of VERSIONS) {
  describe(`data channels with kurento-client ${version}`, { timeout: 120_000 }, () => {
    let server, client, site, pipeline;
    const pages = [];
    before(async () => {
      server = await startServer();
      client = await connect(version, server.url);
      site = await serveTestPage();
    });
    after(async () => {
      client?.close();
      await site?.close();
      await server?.stop();
    });

    /** A page with a peer connection, and an endpoint that it is joined to. */
    async function peer({ channels = [], serverOffers = false, early } = {}) {
      const page = await newPage(browser);
      pages.push(page);
      await page.addInitScript(DATA);
      const endpoint = await pipeline.create('WebRtcEndpoint', { useDataChannels: true });
      const IceCandidate = kurento(version).getComplexType('IceCandidate');
      await page.exposeFunction('found', (candidate) => endpoint.addIceCandidate(IceCandidate(candidate)));
      await page.goto(site.url);
      const events = { opened: {}, closed: {}, errors: [] };
      for (const kind of ['opened', 'closed']) {
        for (const name of NAMES[version][kind]) {
          events[kind][name] = [];
          endpoint.on(name, ({ channelId }) => events[kind][name].push(channelId));
        }
      }
      endpoint.on('Error', (e) => events.errors.push(e.description));
      endpoint.on('IceCandidateFound', ({ candidate: { candidate, sdpMid, sdpMLineIndex } }) => {
        page.evaluate((c) => data.pc.addIceCandidate(c), { candidate, sdpMid, sdpMLineIndex }).catch((error) => page.troubles.push(error.message));
      });
      await page.evaluate((c) => data.start(c), channels);
      if (serverOffers) {
        const offer = await endpoint.generateOffer();
        await early?.(endpoint);
        await endpoint.processAnswer(await page.evaluate((sdp) => data.answer(sdp), offer));
      } else {
        const text = await endpoint.processOffer(await page.evaluate(() => data.offer()));
        await page.evaluate((sdp) => data.pc.setRemoteDescription({ type: 'answer', sdp }), text);
      }
      await endpoint.gatherCandidates();
      const look = () => page.evaluate(() => data.look());
      for (const [label] of channels) await until(`${label} open`, look, (c) => c[label] === 'open', 10_000);
      const told = (kind, ids) => until(`${kind} ${ids}`, () => Object.values(events[kind]), (lists) => lists.every((list) => JSON.stringify(list) === JSON.stringify(ids)), 5_000);
      return { page, endpoint, events, look, told };
    }

    async function stage(run) {
      pipeline = await client.create('MediaPipeline');
      try {
        await run();
        for (const page of pages) assert.deepEqual(page.troubles, []);
      } finally {
        for (const page of pages.splice(0)) await page.context().close();
        await pipeline.release();
      }
    }

    /** Sends from one page and asserts that the other gets exactly that, in order. */
    async function passes(from, to, label, messages, there = label) {
      const sent = await from.page.evaluate(([l, m]) => data.send(l, m), [label, messages]);
      await until(`${sent.length} messages`, () => to.page.evaluate(() => data.got.length), (count) => count >= sent.length, 20_000);
      assert.deepEqual(await to.page.evaluate(() => data.take()), sent.map((message) => ({ label: there, ...message })));
    }

    test('page to page and back, text and binary, 1 byte to 256 KiB, in order', () => stage(async () => {
      const [a, b] = [await peer({ channels: [['chat', {}]] }), await peer({ channels: [['chat', {}]] })];
      await a.endpoint.connect(b.endpoint);
      await b.endpoint.connect(a.endpoint);
      assert.equal(await a.page.evaluate(() => data.pc.sctp.maxMessageSize), 262144);
      const messages = [1, 2, 1000, 1200, 65535, 65536, 65537, 131072, 262143, 262144]
        .flatMap((size, seed) => [{ size, seed, binary: true }, { size, seed, binary: false }]);
      await passes(a, b, 'chat', messages);
      await passes(b, a, 'chat', messages);
      const many = Array.from({ length: 1000 }, (_, seed) => ({ size: 1 + (seed % 300), seed, binary: seed % 3 === 0 }));
      await passes(a, b, 'chat', many);

      await a.told('opened', [1]);
      const stats = Object.values(await a.endpoint.getStats('DATA'));
      const session = stats.find((s) => s.type === 'session');
      const channel = stats.find((s) => s.type === 'datachannel');
      assert.deepEqual([session.dataChannelsOpened, session.dataChannelsClosed], [1, 0]);
      assert.deepEqual([channel.label, channel.protocol, channel.datachannelid, channel.state], ['chat', '', 1, 'open']);
      assert.deepEqual([channel.messagesReceived, channel.messagesSent], [messages.length + many.length, messages.length]);
      assert.deepEqual([a.events.errors, b.events.errors], [[], []]);
    }));

    test('a page hears itself when its endpoint is connected to itself', () => stage(async () => {
      const a = await peer({ channels: [['echo', { ordered: true }]] });
      await a.endpoint.connect(a.endpoint);
      await passes(a, a, 'echo', [{ size: 18, seed: 1, binary: false }, { size: 262144, seed: 2, binary: true }]);
    }));

    test('the server opens channels, also before the answer, and closes them; pages close theirs', () => stage(async () => {
      const a = await peer({ serverOffers: true, early: (endpoint) => endpoint.createDataChannel('early') });
      await until('early', a.look, (c) => c.early === 'open', 10_000);
      const b = await peer({ channels: [['theirs', {}]] });
      await a.endpoint.connect(b.endpoint);
      await passes(a, b, 'early', [{ size: 70_000, seed: 3, binary: true }], 'theirs');
      // kurento-client fills in defaults by position: label, ordered, maxPacketLifeTime, maxRetransmits, protocol.
      await b.endpoint.createDataChannel('limited', false, -1, 3, 'proto');
      await until('limited', b.look, (c) => c.limited === 'open', 5_000);
      const seen = await b.page.evaluate(() => {
        const { label, ordered, maxRetransmits, maxPacketLifeTime, protocol, id } = data.channels.limited;
        return { label, ordered, maxRetransmits, maxPacketLifeTime, protocol, id };
      });
      assert.deepEqual(seen, { label: 'limited', ordered: false, maxRetransmits: 3, maxPacketLifeTime: null, protocol: 'proto', id: 0 });
      await b.told('opened', [1, 0]);
      await b.endpoint.closeDataChannel(0);
      await until('closed in the page', () => b.page.evaluate(() => data.closed), (closed) => closed.includes('limited'), 5_000);
      await b.told('closed', [0]);
      await b.page.evaluate(() => data.channels.theirs.close());
      await b.told('closed', [0, 1]);
      await until('closed in the page', () => b.page.evaluate(() => data.closed), (closed) => closed.includes('theirs'), 5_000);
      // The page can open another, on which messages go on.
      await b.page.evaluate(() => data.adopt(data.pc.createDataChannel('second')));
      await until('second', b.look, (c) => c.second === 'open', 5_000);
      await passes(a, b, 'early', [{ size: 5, seed: 4, binary: false }], 'second');
    }));

    test('what cannot be is refused with the codes of Kurento', () => stage(async () => {
      const without = await pipeline.create('WebRtcEndpoint');
      const fresh = await pipeline.create('WebRtcEndpoint', { useDataChannels: true });
      for (const endpoint of [without, fresh]) {
        for (const [method, ...args] of [['createDataChannel', 'x'], ['createDataChannel', 'x', true, 10, 10], ['closeDataChannel', 1]]) {
          const { code, message } = await refusal(endpoint, method, ...args);
          assert.deepEqual([code, message.replace(/ \(.*/, '')], [40111, 'Data channels are not supported'], method);
        }
      }
      const a = await peer({ channels: [['chat', {}]] });
      assert.equal((await refusal(a.endpoint, 'createDataChannel', 'x', true, 10, 10)).code, 40107);
      assert.equal((await refusal(a.endpoint, 'createDataChannel', 'x'.repeat(2000))).code, 40003);
      await answer(a.endpoint, 'closeDataChannel', 99);
      await a.endpoint.connect(a.endpoint);
      await passes(a, a, 'chat', [{ size: 3, seed: 1, binary: true }]);
    }));

    test('a long transfer arrives whole, as fast as the browser sends', () => stage(async () => {
      const [a, b] = [await peer({ channels: [['file', {}]] }), await peer({ channels: [['file', {}]] })];
      await a.endpoint.connect(b.endpoint);
      const [count, size] = [256, 65536];
      const began = Date.now();
      await a.page.evaluate(([n, s]) => data.stream('file', n, s), [count, size]);
      await until('the whole file', () => b.page.evaluate(() => data.got.length), (got) => got === count, 30_000);
      const seconds = (Date.now() - began) / 1000;
      console.log(`# ${(count * size) / 2 ** 20} MiB in ${seconds} s`);
      assert.ok((await b.page.evaluate(() => data.take())).every((m) => m.size === size && m.binary));
      assert.deepEqual([a.events.errors, b.events.errors], [[], []]);
    }));
  });
}
