// Headless Chromium for the tests, with a made-up camera and microphone, and pages to run in it.
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { root } from './server.mjs';
import { treeOf } from './kurento.mjs';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--allow-loopback-in-peer-connection', '--autoplay-policy=no-user-gesture-required',
];

/** Where screenshots and other things to look at are left. */
export const artefacts = path.join(root, 'tests/artefacts');
fs.mkdirSync(artefacts, { recursive: true });

/** A browser with a fresh profile; `context()` gives a clean set of pages. */
export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: FLAGS });
}

/** A page whose own errors fail the test: they are collected in `page.troubles`. */
export async function newPage(browser, options = {}) {
  const context = await browser.newContext({ permissions: ['camera', 'microphone'], viewport: { width: 1100, height: 1500 }, ...options });
  const page = await context.newPage();
  page.troubles = [];
  page.on('pageerror', (error) => page.troubles.push(error.message));
  return page;
}

/** The kurento-utils of a version as one script that sets `window.kurentoUtils`. */
async function bundleUtils(version) {
  const tree = treeOf(version);
  const result = await build({
    stdin: { contents: "window.kurentoUtils = require('kurento-utils');", resolveDir: tree },
    bundle: true, write: false, format: 'iife', platform: 'browser', define: { global: 'window' }, logLevel: 'error',
  });
  return result.outputFiles[0].text;
}

/**
 * A web server of the tests' own (the server under test has no part in it): an empty page with two videos,
 * the measuring functions of `measure`, and kurento-utils of the version asked for under /utils-VERSION.js.
 */
export async function serveTestPage(version) {
  const files = {
    '/': ['text/html', '<!doctype html><title>test</title><video id="local" autoplay muted playsinline></video><video id="remote" autoplay muted playsinline></video>'],
    '/utils.js': ['text/javascript', version ? await bundleUtils(version) : ''],
  };
  const server = http.createServer((request, response) => {
    const file = files[request.url];
    response.writeHead(file ? 200 : 404, { 'content-type': file?.[0] ?? 'text/plain' });
    response.end(file?.[1] ?? '');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => new Promise((resolve) => {
      server.closeAllConnections();
      server.close(resolve);
    }),
  };
}

/**
 * Functions for looking at pictures and sound, put into every page: window.look.
 * They measure what a person would see and hear, not what statistics claim.
 */
export const LOOK = () => {
  const canvasOf = (video) => {
    const canvas = document.createElement('canvas');
    canvas.width = 64;
    canvas.height = 48;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0, 64, 48);
    return context.getImageData(0, 0, 64, 48).data;
  };
  window.look = {
    /** Mean colour of a video's present frame, [r, g, b], 0 to 255. */
    colour(selector) {
      const data = canvasOf(document.querySelector(selector));
      const sum = [0, 0, 0];
      for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c++) sum[c] += data[i + c];
      return sum.map((s) => s / (data.length / 4));
    },
    /** Mean difference a colour channel between two frames of a video `ms` apart. */
    async change(selector, ms) {
      const video = document.querySelector(selector);
      const before = canvasOf(video);
      await new Promise((resolve) => setTimeout(resolve, ms));
      const after = canvasOf(video);
      let sum = 0;
      for (let i = 0; i < before.length; i++) sum += Math.abs(before[i] - after[i]);
      return sum / before.length;
    },
    /** The loudest moment, 0 to 1, of a stream's sound within `ms`; ends early once `enough` is heard. */
    async loudest(selector, ms, enough) {
      const stream = document.querySelector(selector).srcObject;
      const context = new AudioContext();
      await context.resume();
      const analyser = new AnalyserNode(context, { fftSize: 2048 });
      context.createMediaStreamSource(new MediaStream(stream.getAudioTracks())).connect(analyser);
      const samples = new Float32Array(analyser.fftSize);
      let peak = 0;
      const until = performance.now() + ms;
      while (performance.now() < until && peak < enough) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        analyser.getFloatTimeDomainData(samples);
        for (const s of samples) peak = Math.max(peak, Math.abs(s));
      }
      await context.close();
      return peak;
    },
    /** The frequency in Hz that a stream's sound has most of, and its level in dB above all that is further than 60 Hz from it. */
    async pitch(selector, ms = 400) {
      const stream = document.querySelector(selector).srcObject;
      const context = new AudioContext();
      await context.resume();
      const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0.5 });
      context.createMediaStreamSource(new MediaStream(stream.getAudioTracks())).connect(analyser);
      await new Promise((resolve) => setTimeout(resolve, ms));
      const levels = new Float32Array(analyser.frequencyBinCount);
      analyser.getFloatFrequencyData(levels);
      const step = context.sampleRate / analyser.fftSize;
      const at = levels.indexOf(Math.max(...levels));
      const apart = Math.ceil(60 / step);
      const rest = levels.filter((_, bin) => Math.abs(bin - at) > apart);
      await context.close();
      return { hertz: at * step, level: levels[at], above: levels[at] - Math.max(...rest) };
    },
    /** Plain figures of an RTCPeerConnection. */
    async figures(peer) {
      const report = await peer.getStats();
      const stats = [...report.values()];
      const one = (type, kind) => stats.find((s) => s.type === type && s.kind === kind);
      const out = one('outbound-rtp', 'video'), into = one('inbound-rtp', 'video'), sound = one('inbound-rtp', 'audio');
      return {
        encoded: out?.framesEncoded ?? 0, sentWidth: out?.frameWidth, sentHeight: out?.frameHeight,
        decoded: into?.framesDecoded ?? 0, width: into?.frameWidth, height: into?.frameHeight,
        dropped: into?.framesDropped ?? 0, freezes: into?.freezeCount ?? 0,
        lost: (into?.packetsLost ?? 0) + (sound?.packetsLost ?? 0),
        sentCodec: report.get(out?.codecId)?.mimeType, codec: report.get(into?.codecId)?.mimeType,
        audioPackets: sound?.packetsReceived ?? 0,
        state: peer.connectionState,
      };
    },
  };
};

/** Calls `probe` until `good(result)` holds and returns that result; the last one stands in the error. */
export async function until(what, probe, good, timeoutMs = 20_000) {
  const end = Date.now() + timeoutMs;
  let last;
  for (;;) {
    last = await probe();
    if (good(last)) return last;
    if (Date.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms; last seen ${JSON.stringify(last)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
