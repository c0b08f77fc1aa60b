// Every event of WebRtcEndpoint, in a call with Chromium from its beginning to its end: under the names of Kurento 6 and of
// Kurento 7, with every field that the descriptors of the version list, and with values that are true.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { LOOK, launch, newPage, serveTestPage, until } from './browser.mjs';
import { CALLS, join } from './call.mjs';
import { API_VERSIONS, readApi } from './kmd.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

const APIS = API_VERSIONS.map(readApi);
const NAMES = [...new Set(APIS.flatMap((api) => api.events('WebRtcEndpoint')))];

/** Each event by its present name, and its former names. */
const FORMER = {
  IceCandidateFound: ['OnIceCandidate'],
  IceGatheringDone: ['OnIceGatheringDone'],
  IceComponentStateChanged: ['OnIceComponentStateChanged', 'IceComponentStateChange'],
  DataChannelOpened: ['OnDataChannelOpened', 'DataChannelOpen'],
  DataChannelClosed: ['OnDataChannelClosed', 'DataChannelClose'],
  MediaFlowInStateChanged: ['MediaFlowInStateChange'],
  MediaFlowOutStateChanged: ['MediaFlowOutStateChange'],
  MediaTranscodingStateChanged: ['MediaTranscodingStateChange'],
};
/** In Kurento, too, only an HttpPostEndpoint ends its session by itself. */
const NEVER = ['MediaSessionTerminated'];

const CANDIDATE = /^candidate:\S+ 1 (UDP|TCP) \d+ (127\.0\.0\.1|::1) \d+ typ host( tcptype (active|passive))?$/;

describe('the events of WebRtcEndpoint', { timeout: 60_000 }, () => {
  let browser, server, site, rpc, page, call, pipeline, endpoint, other, began, channel;
  const of = (name, object = endpoint) => rpc.events.filter((e) => e.object === object && e.type === name).map((e) => e.data);
  /** Waits until an event with these values has come. */
  const told = (name, values, timeoutMs = 10_000) => rpc.event(
    (e) => e.object === endpoint && e.type === name && Object.entries(values).every(([field, value]) => e.data[field] === value), `${name} ${JSON.stringify(values)}`, timeoutMs);

  before(async () => {
    [browser, server, site] = await Promise.all([launch(), startServer(), serveTestPage()]);
    rpc = await Rpc.open(server.url);
    page = await newPage(browser);
    await page.addInitScript(LOOK);
    await page.addInitScript(CALLS);
    await page.goto(site.url);
    began = Date.now();
    pipeline = await rpc.create('MediaPipeline');
    endpoint = await rpc.create('WebRtcEndpoint', { mediaPipeline: pipeline, useDataChannels: true });
    other = await rpc.create('PassThrough', { mediaPipeline: pipeline });
    for (const name of NAMES) await rpc.subscribe(endpoint, name);
    await rpc.invoke(endpoint, 'addTag', { key: 'room', value: 'seven' });
    await rpc.invoke(endpoint, 'setSendTagsInEvents', { sendTagsInEvents: true });
  });
  after(async () => {
    await rpc?.close();
    await Promise.all([browser?.close(), site?.close()]);
    await server?.stop();
  });

  test('connections: one event for each kind of media, on the source', async () => {
    await rpc.invoke(endpoint, 'connect', { sink: other });
    await rpc.invoke(endpoint, 'disconnect', { sink: other, mediaType: 'DATA' });
    await rpc.invoke(endpoint, 'connect', { sink: endpoint, mediaType: 'AUDIO' });
    const fields = ({ sink, mediaType, sourceMediaDescription, sinkMediaDescription }) => [sink, mediaType, sourceMediaDescription, sinkMediaDescription];
    await until('four connections', () => of('ElementConnected').length, (n) => n === 4);
    assert.deepEqual(of('ElementConnected').map(fields).sort(), [
      ...['AUDIO', 'DATA', 'VIDEO'].map((kind) => [other, kind, 'default', 'default']), [endpoint, 'AUDIO', 'default', 'default'],
    ].sort());
    assert.deepEqual(of('ElementDisconnected').map(fields), [[other, 'DATA', 'default', 'default']]);
  });

  test('Error: what is wrong with a property', async () => {
    await rpc.invoke(endpoint, 'setTurnUrl', { turnUrl: 'nowhere at all' });
    const { data } = await told('Error', { type: 'UNEXPECTED_ELEMENT_ERROR' });
    assert.match(data.description, /turnUrl/);
    await rpc.invoke(endpoint, 'setTurnUrl', { turnUrl: '' });
    assert.equal(of('Error').length, 1);
  });

  test('a call begins: session, gathering, ICE, DTLS, connection, media', async () => {
    await rpc.invoke(endpoint, 'connect', { sink: endpoint });
    call = await join(page, rpc, endpoint, 'call', { channel: 'chat' });
    await told('MediaStateChanged', { newState: 'CONNECTED' });
    await told('IceComponentStateChanged', { state: 'READY' });
    for (const name of ['MediaFlowOutStateChanged', 'MediaFlowInStateChanged', 'MediaTranscodingStateChanged']) {
      for (const mediaType of ['AUDIO', 'VIDEO']) await told(name, { mediaType });
    }
    await until('frames', call.figures, (f) => f.decoded > 10);

    assert.equal(of('MediaSessionStarted').length, 1);
    assert.equal(of('IceGatheringDone').length, 1);
    // A better pair may come when the first has done its work: then both states are told again.
    const states = of('IceComponentStateChanged').map((e) => e.state).join(' ');
    assert.match(states, /^GATHERING CONNECTING CONNECTED( READY CONNECTED)* READY$/);
    assert.equal(states.match(/CONNECTED/g).length, of('NewCandidatePairSelected').length);
    assert.deepEqual(of('DtlsConnectionStateChange').map((e) => e.state), ['NEW', 'CONNECTING', 'CONNECTED']);
    for (const { streamId, componentId } of of('IceComponentStateChanged')) assert.deepEqual([streamId, componentId], [1, 1]);
    for (const { streamId, connectionId } of of('DtlsConnectionStateChange')) {
      assert.equal(streamId, '1');
      assert.ok(connectionId);
    }
    for (const name of ['ConnectionStateChanged', 'MediaStateChanged']) {
      assert.deepEqual(of(name).map(({ oldState, newState }) => [oldState, newState]), [['DISCONNECTED', 'CONNECTED']], name);
    }
  });

  test('candidates: each for every media line, and the pair that Chromium has selected', async () => {
    const found = of('IceCandidateFound').map((e) => e.candidate);
    for (const { candidate } of found) assert.match(candidate, CANDIDATE);
    const lines = [['0', 0], ['1', 1], ['2', 2]];
    const texts = [...new Set(found.map((c) => c.candidate))];
    assert.ok(texts.length >= 1);
    for (const text of texts) {
      assert.deepEqual(found.filter((c) => c.candidate === text).map((c) => [c.sdpMid, c.sdpMLineIndex]).sort(), lines, text);
    }
    const stats = await call.stats();
    const transport = stats.find((s) => s.type === 'transport');
    const pair = stats.find((s) => s.id === transport.selectedCandidatePairId);
    const [theirs, ours] = [pair.localCandidateId, pair.remoteCandidateId].map((id) => stats.find((s) => s.id === id));
    const { candidatePair } = of('NewCandidatePairSelected').at(-1);
    assert.ok(texts.includes(candidatePair.localCandidate), candidatePair.localCandidate);
    const place = (text) => text.split(' ').slice(4, 6);
    assert.deepEqual(place(candidatePair.localCandidate), [ours.address, String(ours.port)]);
    assert.deepEqual(place(candidatePair.remoteCandidate), [theirs.address, String(theirs.port)]);
    assert.deepEqual([candidatePair.streamId, candidatePair.componentId, candidatePair.streamID, candidatePair.componentID], ['1', 1, '1', 1]);
    assert.deepEqual(await rpc.invoke(endpoint, 'getICECandidatePairs'), [candidatePair]);
  });

  test('flow: media begins on both sides, passes untouched, and ceases', async () => {
    const flow = (name, state) => of(name).filter((e) => e.state === state).map(({ mediaType, padName }) => [mediaType, padName]).sort();
    const both = [['AUDIO', 'default'], ['VIDEO', 'default']];
    for (const name of ['MediaFlowOutStateChanged', 'MediaFlowInStateChanged']) assert.deepEqual(flow(name, 'FLOWING'), both, name);
    const transcoding = of('MediaTranscodingStateChanged');
    assert.deepEqual(transcoding.map(({ mediaType, state }) => [mediaType, state]).sort(), [['AUDIO', 'NOT_TRANSCODING'], ['VIDEO', 'NOT_TRANSCODING']]);
    for (const { binName } of transcoding) assert.ok(binName);
    await page.evaluate(() => Promise.all(window.calls.call.peer.getSenders().map((sender) => sender.replaceTrack(null))));
    for (const name of ['MediaFlowOutStateChanged', 'MediaFlowInStateChanged']) {
      for (const mediaType of ['AUDIO', 'VIDEO']) await told(name, { mediaType, state: 'NOT_FLOWING' });
      assert.deepEqual(flow(name, 'NOT_FLOWING'), both, name);
    }
  });

  test('data channels: opened and closed, by the number of their stream', async () => {
    const open = async () => page.evaluate(() => new Promise((resolve) => {
      window.chat = window.calls.call.peer.createDataChannel('second');
      window.chat.onopen = () => resolve(window.chat.id);
    }));
    await told('DataChannelOpened', {});
    channel = await open();
    await told('DataChannelOpened', { channelId: channel });
    await page.evaluate(() => window.chat.close());
    await told('DataChannelClosed', { channelId: channel });
    assert.equal(of('DataChannelOpened').length, 2);
    assert.deepEqual(of('DataChannelClosed').map((e) => e.channelId), [channel]);
  });

  test('a call ends: the peer leaves', async () => {
    await call.end();
    await told('ConnectionStateChanged', { newState: 'DISCONNECTED' });
    await told('MediaStateChanged', { newState: 'DISCONNECTED' });
    await told('DtlsConnectionStateChange', { state: 'CLOSED' });
    await told('IceComponentStateChanged', { state: 'DISCONNECTED' });
    for (const name of ['ConnectionStateChanged', 'MediaStateChanged']) {
      assert.deepEqual(of(name).map(({ oldState, newState }) => [oldState, newState]), [['DISCONNECTED', 'CONNECTED'], ['CONNECTED', 'DISCONNECTED']], name);
    }
    await until('both channels', () => of('DataChannelClosed').length, (n) => n === 2, 5_000);
    assert.deepEqual(page.troubles, []);
  });

  test('each event came, under each of its names alike', () => {
    for (const name of NAMES) {
      if (NEVER.includes(name)) assert.deepEqual(of(name), [], name);
      else assert.ok(of(name).length > 0, `${name} came`);
    }
    for (const [name, formers] of Object.entries(FORMER)) {
      for (const former of formers) assert.deepEqual(of(former), of(name).map((data) => ({ ...data, type: former })), former);
    }
    assert.deepEqual(Object.keys(FORMER).flatMap((name) => FORMER[name]).sort(), NAMES.filter((name) => !APIS[1].events('WebRtcEndpoint').includes(name)).sort());
  });

  for (const api of APIS) {
    test(`all fields of ${api.version}, each of its type`, () => {
      const names = api.events('WebRtcEndpoint');
      assert.ok(names.length >= 17, names.join(' '));
      for (const name of names) for (const data of of(name)) assert.deepEqual(api.eventFaults(name, data), [], JSON.stringify(data));
    });
  }

  test('source, time and tags are those of the object', () => {
    for (const { object, type, data } of rpc.events) {
      assert.equal(object, endpoint);
      assert.equal(data.source, endpoint);
      if (type !== 'Error') assert.equal(data.type, type);
      const at = Number(data.timestampMillis);
      assert.ok(at >= began - 5 && at <= Date.now() + 5, `${type}: ${at} is now, in ms`);
      assert.equal(data.timestamp, String(Math.floor(at / 1000)), `${type}: the same in seconds`);
      assert.deepEqual(data.tags, [{ __module__: 'kurento', __type__: 'Tag', key: 'room', value: 'seven' }], type);
    }
  });
});
