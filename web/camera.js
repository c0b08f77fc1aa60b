// What this browser sends: the camera and the microphone, or a picture and a sound that the page makes itself.

const WIDTH = 640, HEIGHT = 480, FRAME_MS = 40;

/** In words a person can act on: what went wrong with the camera or microphone. */
function cameraTrouble(error) {
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'The browser may not use your camera and microphone. Allow it, usually by the sign beside the address, and start again.';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'No camera and no microphone was found. Plug one in and start again.';
    case 'NotReadableError':
    case 'AbortError':
      return 'The camera or the microphone does not answer. Another program may be using it; close that one and start again.';
    default:
      return `The camera cannot be used: ${error.message}`;
  }
}

/** The camera and the microphone, or only what is wanted of them. Where one of the two is missing, the other is better than nothing. */
export async function openCamera({ audio = true, video = true } = {}) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error('Browsers lend the camera only to pages that come over HTTPS or from this very machine. Open this page as localhost, or set up a certificate for the server.');
  }
  const all = {
    ...(audio && { audio: { echoCancellation: true } }),
    ...(video && { video: { width: { ideal: WIDTH }, height: { ideal: HEIGHT }, frameRate: { ideal: 30 } } }),
  };
  let missing;
  try {
    return await navigator.mediaDevices.getUserMedia(all);
  } catch (error) {
    if (error.name !== 'NotFoundError') throw new Error(cameraTrouble(error));
    missing = error;
  }
  for (const kind of audio && video ? ['video', 'audio'] : []) {
    try {
      return await navigator.mediaDevices.getUserMedia({ [kind]: all[kind] });
    } catch (error) {
      missing = error;
    }
  }
  throw new Error(cameraTrouble(missing));
}

/** A picture that moves and tells the time, and a beep with each second's flash: sound that comes early or late can be told. */
export function openTestPicture({ audio = true, video = true } = {}) {
  const stream = new MediaStream();
  const undo = [];
  if (video) {
    const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
    const context = canvas.getContext('2d', { alpha: false });
    paint(context);
    const painting = setInterval(() => paint(context), FRAME_MS);
    undo.push(() => clearInterval(painting));
    stream.addTrack(canvas.captureStream(1000 / FRAME_MS).getVideoTracks()[0]);
  }
  if (audio) {
    const sound = new AudioContext();
    const tone = new OscillatorNode(sound, { frequency: 440 });
    const volume = new GainNode(sound, { gain: 0 });
    const out = new MediaStreamAudioDestinationNode(sound);
    tone.connect(volume).connect(out);
    tone.start();
    const beep = () => {
      volume.gain.setValueAtTime(0.3, sound.currentTime);
      volume.gain.setValueAtTime(0, sound.currentTime + 0.12);
    };
    let second = -1;
    const ticking = setInterval(() => {
      const now = Math.floor(Date.now() / 1000);
      if (now !== second) beep();
      second = now;
    }, FRAME_MS / 2);
    undo.push(() => clearInterval(ticking), () => sound.close());
    stream.addTrack(out.stream.getAudioTracks()[0]);
  }
  return { stream, close: () => undo.forEach((run) => run()) };
}

function paint(context) {
  const now = Date.now(), part = (now % 1000) / 1000;
  const colours = ['#c9c9c9', '#c9c913', '#13c9c9', '#13c913', '#c913c9', '#c91313', '#1313c9'];
  colours.forEach((colour, i) => {
    context.fillStyle = colour;
    context.fillRect((i * WIDTH) / 7, 0, WIDTH / 7 + 1, HEIGHT);
  });
  context.fillStyle = part < 0.12 ? '#ffffff' : '#10161c';
  context.fillRect(0, HEIGHT * 0.62, WIDTH, HEIGHT * 0.38);
  context.fillStyle = part < 0.12 ? '#10161c' : '#ffffff';
  context.font = `600 ${HEIGHT / 8}px system-ui, sans-serif`;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(new Date(now).toTimeString().slice(0, 8), WIDTH / 2, HEIGHT * 0.81);
  context.fillRect(part * WIDTH - 12, HEIGHT * 0.58, 24, HEIGHT * 0.04);
}
