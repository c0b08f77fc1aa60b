// Calls between a page and an endpoint, without Kurento's own libraries: what the page sends can be told apart, and all that
// it knows of the call can be asked for.

/** Put into a page: window.calls, by name. */
export const CALLS = () => {
  window.calls = {};

  /** A picture of one colour with something that moves, and a tone. */
  function perform({ colour, hertz }) {
    const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
    const context = canvas.getContext('2d', { alpha: false });
    let step = 0;
    const paint = () => {
      context.fillStyle = colour;
      context.fillRect(0, 0, 320, 240);
      context.fillStyle = 'white';
      context.fillRect((step * 12) % 320, 20, 40, 40);
      step += 1;
    };
    paint();
    setInterval(paint, 40);
    const audio = new AudioContext();
    const tone = new OscillatorNode(audio, { frequency: hertz });
    const volume = new GainNode(audio, { gain: 0.4 });
    const out = new MediaStreamAudioDestinationNode(audio);
    tone.connect(volume).connect(out);
    tone.start();
    return new MediaStream([...canvas.captureStream(25).getTracks(), ...out.stream.getTracks()]);
  }

  function show(id, stream) {
    const video = document.body.appendChild(document.createElement('video'));
    Object.assign(video, { id, autoplay: true, muted: true, playsInline: true, srcObject: stream });
  }

  /**
   * Without `perform` the camera and the microphone are sent; `send: false` sends nothing, `receive: false` takes nothing. Of each
   * kind that `codecs` names only that codec is offered ({ video: 'VP8', audio: 'opus' }). `source` names a function of the page that
   * makes the stream, and `kinds` what is offered at all.
   */
  window.begin = async (name, { send = true, receive = true, channel, codecs = {}, kinds = ['audio', 'video'], source, ...acting } = {}) => {
    const peer = new RTCPeerConnection();
    const back = new MediaStream();
    show(`remote_${name}`, back);
    peer.ontrack = ({ track }) => back.addTrack(track);
    let stream;
    if (send) {
      stream = source ? await window[source]() : acting.perform ? perform(acting.perform) : await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240, frameRate: 25 } });
      show(`local_${name}`, stream);
    }
    for (const kind of kinds) {
      const track = stream?.getTracks().find((t) => t.kind === kind);
      const transceiver = peer.addTransceiver(track ?? kind, { direction: send ? (receive ? 'sendrecv' : 'sendonly') : 'recvonly', streams: stream ? [stream] : [] });
      const only = ({ mimeType }) => mimeType.toLowerCase() === `${kind}/${codecs[kind]}`.toLowerCase();
      if (codecs[kind]) transceiver.setCodecPreferences(RTCRtpReceiver.getCapabilities(kind).codecs.filter(only));
    }
    if (channel) peer.createDataChannel(channel);
    window.calls[name] = { peer, stream };
    await peer.setLocalDescription();
    while (peer.iceGatheringState !== 'complete') await new Promise((resolve) => { peer.onicegatheringstatechange = resolve; });
    return peer.localDescription.sdp;
  };
  /** All statistics of a call, as a list. */
  window.stats = async (name) => [...(await window.calls[name].peer.getStats()).values()];
};

/**
 * Joins a page to an endpoint. `rewrite` may change a candidate of the server's on its way to the page, and `blind` keeps the
 * page's own from the server, which then finds the page when it is spoken to.
 */
export async function join(page, rpc, endpoint, name, { rewrite = (candidate) => candidate, blind = false, ...options } = {}) {
  await rpc.subscribe(endpoint, 'IceCandidateFound');
  rpc.on(endpoint, 'IceCandidateFound', ({ candidate: { candidate, sdpMid, sdpMLineIndex } }) => {
    const shown = rewrite(candidate);
    if (!shown) return;
    page.evaluate(([n, c]) => window.calls[n].peer.addIceCandidate(c), [name, { candidate: shown, sdpMid, sdpMLineIndex }])
      .catch((error) => page.troubles.push(error.message));
  });
  const offer = await page.evaluate(([n, o]) => window.begin(n, o), [name, options]);
  const told = blind ? offer.split('\r\n').filter((line) => !line.startsWith('a=candidate')).join('\r\n') : offer;
  const answer = await rpc.invoke(endpoint, 'processOffer', { offer: told });
  await page.evaluate(([n, sdp]) => window.calls[n].peer.setRemoteDescription({ type: 'answer', sdp }), [name, answer]);
  await rpc.invoke(endpoint, 'gatherCandidates');
  return {
    offer,
    figures: () => page.evaluate((n) => window.look.figures(window.calls[n].peer), name),
    stats: () => page.evaluate((n) => window.stats(n), name),
    end: () => page.evaluate((n) => window.calls[n].peer.close(), name),
  };
}
