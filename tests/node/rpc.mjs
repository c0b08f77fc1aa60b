// A small Kurento Protocol client for tests that must see every frame as it is on the wire.
import WebSocket from 'ws';

export class RpcError extends Error {
  constructor({ code, message, data }) {
    super(`${code} ${message}`);
    Object.assign(this, { code, data });
  }
}

/** One WebSocket. `call` sends a request and returns its result; events are kept and can be waited for. */
export class Rpc {
  #socket;
  #next = 1;
  #pending = new Map();
  #waiters = new Set();
  events = [];
  sessionId;

  static async open(url) {
    const rpc = new Rpc();
    rpc.#socket = new WebSocket(url, { perMessageDeflate: false });
    await new Promise((resolve, reject) => rpc.#socket.once('open', resolve).once('error', reject));
    rpc.#socket.on('message', (data) => rpc.#hear(JSON.parse(data.toString())));
    rpc.#socket.on('close', (code) => {
      for (const { reject } of rpc.#pending.values()) reject(new Error(`the connection closed with ${code}`));
      rpc.#pending.clear();
    });
    return rpc;
  }

  #hear(message) {
    if (message.method === 'onEvent') {
      const event = message.params.value;
      this.events.push(event);
      for (const waiter of this.#waiters) waiter(event);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (!pending) return;
    this.#pending.delete(message.id);
    if (message.error) pending.reject(new RpcError(message.error));
    else {
      if (message.result?.sessionId !== undefined) this.sessionId = message.result.sessionId;
      pending.resolve(message.result);
    }
  }

  /** Calls back with the data of each event of a kind on an object; returns what ends that. */
  on(object, type, hear) {
    const waiter = (event) => {
      if (event.object === object && event.type === type) hear(event.data);
    };
    this.#waiters.add(waiter);
    return () => this.#waiters.delete(waiter);
  }

  /** The next event of a kind on an object for which `good` holds. */
  waitFor(object, type, good = () => true, timeoutMs = 20_000) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => { off(); reject(new Error(`no ${type} of ${object} within ${timeoutMs} ms`)); }, timeoutMs);
      const off = this.on(object, type, (data) => {
        if (!good(data)) return;
        clearTimeout(timer);
        off();
        resolve(data);
      });
    });
  }

  /** The whole result; `params` may name a session, else the connection's own is used. */
  call(method, params = {}, timeoutMs = 10_000) {
    const id = this.#next++;
    if (this.sessionId !== undefined && params.sessionId === undefined) params = { ...params, sessionId: this.sessionId };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new Error(`no answer to ${method} ${params.operation ?? params.type ?? ''} within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pending.set(id, {
        resolve: (r) => { clearTimeout(timer); resolve(r); },
        reject: (e) => { clearTimeout(timer); reject(e); },
      });
      this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  }

  async create(type, constructorParams = {}) {
    return (await this.call('create', { type, constructorParams, properties: {} })).value;
  }

  async invoke(object, operation, operationParams = {}) {
    return (await this.call('invoke', { object, operation, operationParams })).value;
  }

  async subscribe(object, type) {
    return (await this.call('subscribe', { object, type })).value;
  }

  release(object) {
    return this.call('release', { object });
  }

  /** The first event, past or future, for which `test(event)` holds. */
  event(test, what = 'an event', timeoutMs = 10_000) {
    const past = this.events.find(test);
    if (past) return Promise.resolve(past);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        const seen = this.events.map((e) => `${e.type} ${e.data.state ?? e.data.newState ?? e.data.mediaType ?? ''}`).join(', ');
        reject(new Error(`${what} did not come within ${timeoutMs} ms; seen: ${seen || 'nothing'}`));
      }, timeoutMs);
      const waiter = (event) => {
        if (!test(event)) return;
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve(event);
      };
      this.#waiters.add(waiter);
    });
  }

  close() {
    return new Promise((resolve) => {
      this.#socket.once('close', resolve);
      this.#socket.close();
    });
  }
}
