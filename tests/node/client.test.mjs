// What an application does through kurento-client, in the last 6.x and in 7.3: objects, properties, events,
// transactions, lookup by id, a lost connection, offers and answers.
import { after, afterEach, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { Rpc } from './rpc.mjs';
import { VERSIONS, answer, connect, kurento, once, refusal, takeSwallowed } from './kurento.mjs';
import { startProxy } from './proxy.mjs';
import { startServer } from './server.mjs';

// A plain RTP offer, such as telephone systems send; Kurento's own suites hand it to a WebRtcEndpoint too.
const RTP_OFFER = [
  'v=0', 'o=- 12345 12345 IN IP4 192.0.2.95', 's=-', 'c=IN IP4 192.0.2.95', 't=0 0',
  'm=video 52126 RTP/AVP 96 97 98', 'a=rtpmap:96 H264/90000', 'a=rtpmap:97 MP4V-ES/90000', 'a=rtpmap:98 H263-1998/90000',
  'a=recvonly', 'b=AS:384', '',
].join('\r\n');

for (const version of VERSIONS) {
  describe(`kurento-client ${version}`, { timeout: 120_000 }, () => {
    let server, client, pipeline;
    before(async () => {
      server = await startServer();
      client = await connect(version, server.url);
      pipeline = await client.create('MediaPipeline');
    });
    afterEach(() => assert.deepEqual(takeSwallowed(), [], 'no call failed unseen'));
    after(async () => {
      await pipeline?.release();
      client?.close();
      await server?.stop();
    });

    test('the modules that the client knows are all there', async () => {
      const manager = await client.getServerManager();
      const info = await manager.getInfo();
      const modules = info.modules.map((m) => m.name);
      for (const name of kurento(version).register.modules) assert.ok(modules.includes(name), `module ${name} among ${modules}`);
      assert.equal(info.type, 'KMS');
      assert.deepEqual(info.capabilities, ['transactions']);
      assert.match(info.version, /^\d+\.\d+\.\d+/);
      const factories = info.modules.flatMap((m) => m.factories);
      for (const type of ['MediaPipeline', 'PassThrough', 'HubPort', 'Dispatcher', 'DispatcherOneToMany', 'WebRtcEndpoint']) {
        assert.ok(factories.includes(type), `${type} among the factories ${factories}`);
      }
    });

    test('the server manager lists pipelines and sessions, and tells of objects that come and go', async () => {
      const manager = await client.getServerManager();
      const created = once(manager, 'ObjectCreated');
      const destroyed = once(manager, 'ObjectDestroyed');
      // Subscriptions leave on their own time: what is asked after them comes back after them.
      await manager.getName();
      const other = await client.create('MediaPipeline');
      assert.equal((await created).object, other.id);
      const pipelines = await manager.getPipelines();
      assert.ok(pipelines.some((p) => p.id === other.id), 'the new pipeline is listed');
      assert.ok((await manager.getSessions()).includes(client.whole.sessionId), 'the session of this client is listed');
      await other.release();
      assert.equal((await destroyed).objectId, other.id);
      assert.ok(!(await manager.getPipelines()).some((p) => p.id === other.id), 'a released pipeline is not listed');
    });

    test('names, tags and creation time', async () => {
      const element = await pipeline.create('PassThrough');
      assert.equal(await element.getName(), element.id);
      await element.setName('of my own');
      assert.equal(await element.getName(), 'of my own');
      await element.addTag('b', '2');
      await element.addTag('a', '1');
      assert.deepEqual((await element.getTags()).map(({ key, value }) => [key, value]), [['a', '1'], ['b', '2']]);
      await element.removeTag('a');
      assert.equal((await refusal(element, 'getTag', 'a')).code, 40110);
      const age = Date.now() / 1000 - (await element.getCreationTime());
      assert.ok(age > -2 && age < 120, `created ${age} s ago`);
      assert.equal((await element.getMediaPipeline()).id, pipeline.id);
      assert.equal((await element.getParent()).id, pipeline.id);
      await element.release();
    });

    test('types may be written with the prefix kurento.', async () => {
      const element = await pipeline.create('kurento.PassThrough');
      assert.match(element.id, /_kurento\.PassThrough$/);
      assert.ok(element.id.startsWith(pipeline.id));
      await element.release();
    });

    test('connect and disconnect: who is joined, and the events of it', async () => {
      const a = await pipeline.create('PassThrough');
      const b = await pipeline.create('PassThrough');
      await a.addTag('which', 'a');
      await a.setSendTagsInEvents(true);
      const told = once(a, 'ElementConnected');
      const seen = [];
      a.on('ElementConnected', (e) => seen.push(['+', e.mediaType, e.sink]));
      a.on('ElementDisconnected', (e) => seen.push(['-', e.mediaType, e.sink]));
      await a.connect(b);
      const event = await told;
      assert.equal(event.type, 'ElementConnected');
      assert.deepEqual(event.tags.map(({ key, value }) => [key, value]), [['which', 'a']]);
      const fed = await b.getSourceConnections();
      assert.deepEqual(fed.map((c) => c.type).sort(), ['AUDIO', 'DATA', 'VIDEO']);
      await a.disconnect(b, 'VIDEO');
      assert.deepEqual((await a.getSinkConnections()).map((c) => c.type).sort(), ['AUDIO', 'DATA']);
      await a.disconnect(b);
      assert.deepEqual(await a.getSinkConnections(), []);
      for (let i = 0; i < 100 && seen.length < 7; i++) await pause(20);
      const sinkOf = (s) => (typeof s === 'string' ? s : s.id);
      assert.ok(seen.every(([, , sink]) => sinkOf(sink) === b.id));
      assert.deepEqual(seen.filter(([sign]) => sign === '+').map(([, type]) => type).sort(), ['AUDIO', 'DATA', 'VIDEO']);
      assert.deepEqual(seen.slice(3).map(([sign, type]) => sign + type).sort(), ['-AUDIO', '-DATA', '-VIDEO', '-VIDEO']);
      await a.release();
      await b.release();
    });

    test('elements of two pipelines do not join', async () => {
      const other = await client.create('MediaPipeline');
      const a = await pipeline.create('PassThrough');
      const b = await other.create('PassThrough');
      assert.equal((await refusal(a, 'connect', b)).code, 40004);
      await other.release();
      await a.release();
    });

    test('hubs and their ports', async () => {
      const dispatcher = await pipeline.create('Dispatcher');
      const one = await dispatcher.createHubPort();
      const two = await dispatcher.createHubPort();
      await dispatcher.connect(one, two);
      assert.deepEqual((await dispatcher.getChildren()).map((port) => port.id).sort(), [one.id, two.id].sort());
      const from = await pipeline.create('PassThrough');
      const to = await pipeline.create('PassThrough');
      await from.connect(one);
      await two.connect(to);
      const hub = await pipeline.create('DispatcherOneToMany');
      // What a promise yields is a copy, for which setSource of these clients sends no id: it wants the object itself.
      const source = pipeline.create('HubPort', { hub });
      await hub.setSource(source);
      await hub.removeSource();
      await dispatcher.release();
      assert.equal((await refusal(one, 'getName')).code, 40101);
      // A released object is out of reach at once, and taken out of the graph a little later, as in Kurento.
      let left = await from.getSinkConnections();
      for (let i = 0; i < 100 && left.length > 0; i++) {
        await pause(20);
        left = await from.getSinkConnections();
      }
      assert.deepEqual(left, []);
      for (const object of [from, to, hub]) await object.release();
    });

    test('an object is found again by its id, alone and in a list', async () => {
      const endpoint = await pipeline.create('WebRtcEndpoint');
      const second = await connect(version, server.url);
      try {
        const found = await second.getMediaobjectById(endpoint.id);
        assert.equal(found.id, endpoint.id);
        assert.equal(found.constructor.name, 'WebRtcEndpoint');
        const list = await second.getMediaobjectById([endpoint.id, pipeline.id]);
        assert.deepEqual(list.map((o) => o.constructor.name), ['WebRtcEndpoint', 'MediaPipeline']);
        const { id } = pipeline;
        assert.equal((await second.getMediaobjectById(id)).id, id, 'known by now, and found without asking');
        await assert.rejects(second.getMediaobjectById('no such object'), { code: 40101 });
        await assert.rejects(second.getMediaobjectById([endpoint.id, 'no such object']), { code: 40101 });
      } finally {
        second.close();
      }
      await endpoint.release();
    });

    test('what is released is gone, with its children and theirs', async () => {
      const other = await client.create('MediaPipeline');
      const element = await other.create('PassThrough');
      const hub = await other.create('Dispatcher');
      const port = await hub.createHubPort();
      const ids = [other, element, hub, port].map((object) => object.id);
      assert.deepEqual((await other.getChildren()).map((child) => child.id).sort(), [element.id, hub.id].sort());
      const manager = await client.getServerManager();
      const destroyed = [];
      manager.on('ObjectDestroyed', (e) => destroyed.push(e.objectId));
      const all = once(manager, 'ObjectDestroyed', { where: () => ids.every((id) => destroyed.includes(id)) });
      await manager.getName(); // so that the subscription is there
      let told = 0;
      for (const object of [element, hub, port]) object.on('release', () => { told += 1; });
      await other.release();
      assert.equal(told, 3, 'the client lets go of the children too');
      await all;
      manager.removeAllListeners('ObjectDestroyed');
      await manager.getName();
      const raw = await Rpc.open(server.url);
      for (const id of ids) await assert.rejects(raw.invoke(id, 'getName'), { code: 40101 });
      await raw.close();
    });

    describe('transactions', () => {
      // connect() of these clients loses a transaction that it is given, so that it is asked for in a block only.
      test('begun and committed: create and use at once, by references to what is not there yet', async () => {
        const transaction = client.beginTransaction();
        const made = client.create(transaction, 'MediaPipeline');
        const hub = made.create(transaction, 'DispatcherOneToMany');
        const port = made.create(transaction, 'HubPort', { hub });
        const rest = [answer(made, 'setName', transaction, 'all at once'), answer(hub, 'setSource', transaction, port)];
        assert.equal(made.id, undefined, 'nothing is made before the commit');
        const early = await refusal(made, 'getName');
        assert.ok(early instanceof kurento(version).TransactionsManager.TransactionNotCommitedException, `${early}`);
        await transaction.commit();
        assert.equal(transaction.commited, true);
        await Promise.all(rest);
        assert.match(made.id, /_kurento\.MediaPipeline$/);
        assert.ok(hub.id.startsWith(`${made.id}/`), `${hub.id} is in ${made.id}`);
        assert.ok(port.id.startsWith(`${hub.id}/`), `${port.id} is in ${hub.id}`);
        assert.equal(await (await made).getName(), 'all at once');
        await (await made).release();
      });

      test('as a block of the client', async () => {
        let made;
        await client.whole.transaction(function () {
          made = this.create('MediaPipeline');
        });
        assert.match(made.id, /_kurento\.MediaPipeline$/);
        assert.equal(await (await made).getName(), made.id);
        await (await made).release();
      });

      test('as a block of the pipeline, with connections between what it makes', async () => {
        let endpoint, element;
        await pipeline.transaction(function () {
          endpoint = this.create('WebRtcEndpoint');
          element = this.create('PassThrough');
          element.setName('made in a transaction');
          endpoint.connect(element);
        });
        assert.equal(await (await element).getName(), 'made in a transaction');
        const joined = await (await endpoint).getSinkConnections();
        assert.deepEqual(joined.map((c) => c.type).sort(), ['AUDIO', 'DATA', 'VIDEO']);
        assert.ok(joined.every((c) => c.sink === element.id), `all lead to ${element.id}`);
        await (await endpoint).release();
        await (await element).release();
      });

      test('on an object whose creation is under way outside it', async () => {
        const element = pipeline.create('PassThrough');
        assert.equal(element.id, undefined);
        const transaction = pipeline.beginTransaction();
        const named = answer(element, 'setName', transaction, 'awaited');
        await transaction.commit();
        await named;
        assert.equal(await (await element).getName(), 'awaited');
        await (await element).release();
      });

      test('after a failing operation the client hears that the rest was not done', async () => {
        const transaction = client.beginTransaction();
        const made = client.create(transaction, 'MediaPipeline');
        const element = made.create(transaction, 'PassThrough');
        const failed = refusal(element, 'getTag', transaction, 'no such tag');
        const skipped = refusal(element, 'setName', transaction, 'too late');
        await transaction.commit();
        assert.equal((await failed).code, 40110);
        assert.equal((await skipped).message, 'Command not executed in the server');
        assert.equal(await (await element).getName(), element.id, 'what came before the failure stays, what came after is not done');
        await (await made).release();
      });

      test('a failure in the middle ends it there; what came before stays', async () => {
        const raw = await Rpc.open(server.url);
        const request = (id, method, params) => ({ jsonrpc: '2.0', id, method, params });
        const { value } = await raw.call('transaction', {
          operations: [
            request(0, 'create', { type: 'MediaPipeline' }),
            request(1, 'create', { type: 'PassThrough', constructorParams: { mediaPipeline: 'newref:0' } }),
            request(2, 'invoke', { object: 'newref:1', operation: 'noSuchOperation' }),
            request(3, 'create', { type: 'MediaPipeline' }),
          ],
        });
        assert.equal(value.length, 3);
        assert.equal(value[2].error.code, 40008);
        const element = value[1].result.value;
        assert.equal(await raw.invoke(element, 'getName'), element);
        await raw.release(value[0].result.value);
        await raw.close();
      });

      test('an operation on an object that is released fails with 40101', async () => {
        const gone = await pipeline.create('PassThrough');
        await gone.release();
        const error = await refusal(gone, 'getName');
        assert.equal(error.code, 40101);
        assert.equal(error.message, `Object '${gone.id}' not found`);
        const transaction = pipeline.beginTransaction();
        const within = refusal(gone, 'getName', transaction);
        await transaction.commit();
        assert.equal((await within).code, 40101);
      });
    });

    describe('offers and answers', () => {
      test('a plain RTP offer does not fail on a WebRtcEndpoint', async () => {
        const endpoint = await pipeline.create('WebRtcEndpoint');
        const answer = await endpoint.processOffer(RTP_OFFER);
        assert.match(answer, /^v=0\r\n/);
        assert.match(answer, /^m=video /m);
        assert.match(await endpoint.getLocalSessionDescriptor(), /^v=0\r\n/);
        assert.match(await endpoint.getRemoteSessionDescriptor(), /^v=0\r\n/);
        await endpoint.release();
      });

      test('two endpoints: one offers, one answers', async () => {
        const a = await pipeline.create('WebRtcEndpoint');
        const b = await pipeline.create('WebRtcEndpoint');
        const offer = await a.generateOffer();
        for (const line of ['m=audio', 'm=video', 'a=fingerprint:sha-256', 'a=ice-ufrag:', 'a=ice-pwd:', 'a=setup:actpass']) {
          assert.ok(offer.includes(line), `the offer has ${line}:\n${offer}`);
        }
        const answer = await b.processOffer(offer);
        assert.match(answer, /a=setup:active/);
        assert.match(await a.processAnswer(answer), /^v=0\r\n/);
        assert.equal((await refusal(b, 'processOffer', offer)).code, 40208);
        await a.release();
        await b.release();
      });

      test('two endpoints of one server find each other and reach CONNECTED', async () => {
        const a = await pipeline.create('WebRtcEndpoint');
        const b = await pipeline.create('WebRtcEndpoint');
        const candidateOf = (event) => kurento(version).getComplexType('IceCandidate')(event.candidate);
        a.on('IceCandidateFound', (e) => b.addIceCandidate(candidateOf(e)));
        b.on('IceCandidateFound', (e) => a.addIceCandidate(candidateOf(e)));
        const gathered = [a, b].map((x) => once(x, 'IceGatheringDone'));
        const states = [a, b].map((x) => once(x, 'ConnectionStateChanged', { where: (e) => e.newState === 'CONNECTED', timeoutMs: 20_000 }));
        await a.processAnswer(await b.processOffer(await a.generateOffer()));
        await a.gatherCandidates();
        await b.gatherCandidates();
        await Promise.all([...states, ...gathered]);
        assert.equal(await a.getConnectionState(), 'CONNECTED');
        await a.release();
        await b.release();
      });
    });

    test('a lost connection: the session, its objects and its subscriptions are found again', async () => {
      const proxy = await startProxy(server.port);
      const roaming = await connect(version, proxy.url);
      roaming.whole._re.on('error', () => {}); // what the socket says while it is cut is of no interest here
      try {
        const own = await roaming.create('MediaPipeline');
        const a = await own.create('PassThrough');
        const b = await own.create('PassThrough');
        let events = 0;
        a.on('ElementConnected', () => { events += 1; });
        await a.connect(b, 'AUDIO');
        for (let i = 0; i < 100 && events < 1; i++) await pause(20);
        assert.equal(events, 1);
        const session = roaming.whole.sessionId;
        const back = once(roaming.whole, 'reconnected', { timeoutMs: 15_000 });
        assert.equal(proxy.cut(), 1);
        assert.equal(await back, true, 'reconnected with the same session');
        assert.equal(roaming.whole.sessionId, session);
        assert.equal(await a.getName(), a.id);
        await a.connect(b, 'VIDEO');
        for (let i = 0; i < 100 && events < 2; i++) await pause(20);
        assert.equal(events, 2, 'the subscription made before the loss still delivers');
        await own.release();
      } finally {
        roaming.close();
        await proxy.close();
      }
    });

    test('a server started anew: the session is not there any more, and the client goes on with new objects', async () => {
      const first = await startServer();
      const staying = await connect(version, first.url);
      staying.whole._re.on('error', () => {}); // as above
      let second;
      try {
        const lost = await staying.create('MediaPipeline');
        const back = once(staying.whole, 'reconnected', { timeoutMs: 30_000 });
        await first.kill();
        second = await startServer({ port: first.port });
        assert.equal(await back, false, 'reconnected without the session');
        assert.equal((await refusal(lost, 'getName')).code, 40101);
        const made = await staying.create('MediaPipeline');
        assert.equal(await made.getName(), made.id);
        await made.release();
      } finally {
        staying.close();
        await second?.stop();
      }
    });

    test('text that is no JSON is answered, and the connection goes on', async () => {
      const { default: WebSocket } = await import('ws');
      const socket = new WebSocket(server.url);
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      const next = () => new Promise((resolve) => { socket.once('message', (d) => resolve(d.toString())); });
      socket.send('xxxx');
      assert.equal(JSON.parse(await next()).error.code, -32700);
      socket.send('{"jsonrpc":"2.0","id":1,"method":"ping"}');
      assert.equal(await next(), '{"id":1,"jsonrpc":"2.0","result":{"value":"pong"}}');
      socket.terminate();
    });
  });
}
