// The Kurento Protocol in a hundred lines: JSON-RPC over a WebSocket, sessions, events, and coming back after a loss.
// It tells what happens as events of its own: 'connected' (did the session survive?), 'lost', and 'event' for the server's.

const PING_MS = 20_000;
const CALL_MS = 15_000;

/** One connection that comes back by itself, with the same session where the server still has it. */
export class Server extends EventTarget {
  #socket = null;
  #next = 1;
  #waiting = new Map();
  #attempt = 0;
  sessionId;

  constructor(url) {
    super();
    this.url = url;
    this.#open();
    setInterval(() => this.connected && this.call('ping', { interval: PING_MS }).catch(() => {}), PING_MS);
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  #open() {
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.onopen = () => this.#greet();
    socket.onmessage = (message) => this.#hear(JSON.parse(message.data));
    socket.onclose = () => this.#lost();
  }

  async #greet() {
    let resumed = true;
    try {
      if (this.sessionId === undefined) await this.call('ping', { interval: PING_MS });
      else await this.call('connect', {});
    } catch (error) {
      if (error.code !== 40007) return; // the socket broke again, and its end is told by onclose
      resumed = false;
      this.sessionId = undefined;
    }
    this.#attempt = 0;
    this.dispatchEvent(new CustomEvent('connected', { detail: { resumed } }));
  }

  #lost() {
    for (const { reject } of this.#waiting.values()) reject(new Error('the connection to the server is lost'));
    this.#waiting.clear();
    const seconds = Math.min(8, 2 ** this.#attempt++);
    this.dispatchEvent(new CustomEvent('lost', { detail: { seconds } }));
    setTimeout(() => this.#open(), seconds * 1000);
  }

  #hear(message) {
    if (message.method === 'onEvent') {
      this.dispatchEvent(new CustomEvent('event', { detail: message.params.value }));
      return;
    }
    const waiting = this.#waiting.get(message.id);
    if (!waiting) return;
    this.#waiting.delete(message.id);
    clearTimeout(waiting.timer);
    if (message.error) {
      waiting.reject(Object.assign(new Error(message.error.message), { code: message.error.code }));
      return;
    }
    if (message.result?.sessionId !== undefined) this.sessionId = message.result.sessionId;
    waiting.resolve(message.result);
  }

  call(method, params = {}) {
    return new Promise((resolve, reject) => {
      if (!this.connected) {
        reject(new Error('the server cannot be reached'));
        return;
      }
      const id = this.#next++;
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`the server did not answer '${params.operation ?? method}' within ${CALL_MS / 1000} seconds`));
      }, CALL_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      if (this.sessionId !== undefined) params = { ...params, sessionId: this.sessionId };
      this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  }

  async create(type, constructorParams = {}) {
    return (await this.call('create', { type, constructorParams })).value;
  }

  async invoke(object, operation, operationParams = {}) {
    return (await this.call('invoke', { object, operation, operationParams })).value;
  }
}
