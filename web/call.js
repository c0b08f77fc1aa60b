// One pipeline in the server with a WebRtcEndpoint in it, and this browser's end of that.
import { note, server } from './page.js';

/** What is told of every endpoint. */
const ENDPOINT_EVENTS = ['IceCandidateFound', 'MediaFlowInStateChanged', 'MediaFlowOutStateChanged', 'ConnectionStateChanged', 'MediaStateChanged',
  'IceComponentStateChanged', 'NewCandidatePairSelected', 'MediaTranscodingStateChanged', 'Error'];

const live = new Set();

/** Moves a codec to the front of what is offered. */
function prefer(transceiver, kind, codec) {
  const all = RTCRtpReceiver.getCapabilities(kind).codecs;
  const wanted = all.filter((c) => c.mimeType.toUpperCase() === `${kind}/${codec}`.toUpperCase());
  if (!wanted.length) throw new Error(`This browser has no ${codec}.`);
  transceiver.setCodecPreferences([...wanted, ...all.filter((c) => !wanted.includes(c))]);
}

export const hasCodec = (kind, codec) => RTCRtpReceiver.getCapabilities(kind).codecs.some((c) => c.mimeType.toUpperCase() === `${kind}/${codec}`.toUpperCase());

/**
 * `told(type, data, object)` hears the events of its elements, `state(text)` the state of the media connection in this browser.
 * Whoever awaits anything asks `check()` afterwards: it throws an AbortError when the call was ended meanwhile.
 */
export class Call {
  #early = [];
  #answered = false;
  #elements = new Set();
  #told;
  #state;
  ended = false;
  peer = null;
  pipeline = null;
  endpoint = null;

  constructor({ told = () => {}, state = () => {} }) {
    this.#told = told;
    this.#state = state;
    live.add(this);
  }

  check() {
    if (this.ended) throw new DOMException('stopped', 'AbortError');
  }

  /** The pipeline and its WebRtcEndpoint. */
  async build() {
    this.pipeline = await server.create('MediaPipeline');
    this.#elements.add(this.pipeline);
    if (this.ended) await this.#release();
    this.check();
    await server.call('subscribe', { object: this.pipeline, type: 'Error' });
    this.endpoint = await this.add('WebRtcEndpoint', {}, ENDPOINT_EVENTS);
  }

  /** Another element of the pipeline. */
  async add(type, params, events) {
    this.check();
    const element = await server.create(type, { mediaPipeline: this.pipeline, ...params });
    this.#elements.add(element);
    for (const event of events) await server.call('subscribe', { object: element, type: event });
    this.check();
    return element;
  }

  owns(object) {
    return this.#elements.has(object);
  }

  /** Sends `stream`, or nothing; shows what comes back in `video`, where that is given. `codec` goes first of all video codecs. */
  async negotiate({ stream = null, video = null, codec = '' }) {
    const peer = new RTCPeerConnection();
    this.peer = peer;
    const remote = new MediaStream();
    peer.ontrack = ({ track }) => {
      remote.addTrack(track);
      if (video) video.srcObject = remote;
    };
    peer.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate || this.ended) return;
      const { candidate: text, sdpMid, sdpMLineIndex } = candidate;
      server.invoke(this.endpoint, 'addIceCandidate', { candidate: { candidate: text, sdpMid, sdpMLineIndex } })
        .catch((error) => this.ended || note(`the server refused a candidate: ${error.message}`, true));
    };
    peer.onconnectionstatechange = () => {
      note(`this browser: ${peer.connectionState}`);
      if (!this.ended) this.#state(peer.connectionState);
    };
    for (const kind of ['audio', 'video']) {
      const track = stream?.getTracks().find((t) => t.kind === kind);
      if (!track && !video) continue;
      const direction = !video ? 'sendonly' : track ? 'sendrecv' : 'recvonly';
      if (!track && stream) continue;
      const transceiver = peer.addTransceiver(track ?? kind, { direction, streams: stream ? [stream] : [] });
      if (kind === 'video' && codec) prefer(transceiver, kind, codec);
    }
    await peer.setLocalDescription(await peer.createOffer());
    const answer = await server.invoke(this.endpoint, 'processOffer', { offer: peer.localDescription.sdp });
    this.check();
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });
    for (const candidate of this.#early.splice(0)) await peer.addIceCandidate(candidate);
    this.#answered = true;
    await server.invoke(this.endpoint, 'gatherCandidates');
    this.check();
  }

  hear(type, data, object) {
    if (type !== 'IceCandidateFound') {
      if (!this.ended) this.#told(type, data, object);
      return;
    }
    const { candidate, sdpMid, sdpMLineIndex } = data.candidate;
    const init = { candidate, sdpMid, sdpMLineIndex };
    if (!this.#answered) this.#early.push(init);
    else if (!this.ended) this.peer.addIceCandidate(init).catch((error) => note(`a candidate of the server was refused: ${error.message}`, true));
  }

  /** Closes this end and releases the pipeline. */
  async end() {
    if (this.ended) return;
    this.ended = true;
    this.peer?.close();
    await this.#release();
    live.delete(this);
  }

  async #release() {
    if (!this.pipeline || !server.connected) return;
    try {
      await server.call('release', { object: this.pipeline });
    } catch (error) {
      note(`the pipeline was not released: ${error.message}`, true);
    }
  }
}

server.addEventListener('event', ({ detail: { type, data, object } }) => {
  for (const call of live) if (call.owns(object)) call.hear(type, data, object);
});
window.addEventListener('pagehide', () => {
  for (const call of live) if (call.pipeline && server.connected) server.call('release', { object: call.pipeline }).catch(() => {});
});
