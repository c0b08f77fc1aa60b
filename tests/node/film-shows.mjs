// Films in Chromium's own <video>: served with ranges, as web servers do, and looked at where they are sought.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const TYPES = { '.webm': 'video/webm', '.mp4': 'video/mp4', '.mkv': 'video/x-matroska', '.flv': 'video/x-flv', '.jpeg': 'image/jpeg' };

/** Serves the films of a folder, and an empty page. */
export async function serveFilms(folder) {
  const server = http.createServer((request, response) => {
    if (request.url === '/') return response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>films</title>');
    const file = path.join(folder, path.basename(request.url));
    if (!fs.existsSync(file)) return response.writeHead(404).end();
    const size = fs.statSync(file).size;
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
    const [start, end] = [Number(from ?? 0), to ? Number(to) : size - 1];
    const range = from ? { 'content-range': `bytes ${start}-${end}/${size}` } : {};
    response.writeHead(from ? 206 : 200, { 'content-type': TYPES[path.extname(file)], 'accept-ranges': 'bytes', 'content-length': end - start + 1, ...range });
    fs.createReadStream(file, { start, end }).pipe(response);
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

/** Put into a page: window.films. */
export const FILMS = () => {
  const event = (video, name, what, ms = 10_000) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: no ${name} within ${ms} ms, at ${video.currentTime} of ${video.duration}, ready ${video.readyState}`)), ms);
    video.addEventListener(name, () => { clearTimeout(timer); resolve(); }, { once: true });
    video.addEventListener('error', () => { clearTimeout(timer); reject(new Error(`${what}: ${video.error.code} ${video.error.message}`)); }, { once: true });
  });
  /** Red parts of a picture of 320 x 240. */
  const pixels = (source) => {
    const context = Object.assign(document.createElement('canvas'), { width: 320, height: 240 }).getContext('2d');
    context.drawImage(source, 0, 0, 320, 240);
    const { data } = context.getImageData(0, 0, 320, 240);
    return (x, y) => data[(y * 320 + x) * 4];
  };
  window.films = {
    /**
     * Opens a film, seeks to each { time, codes } and reads the code there; then plays its last half second to the end. A busy browser
     * tells of a seek before it has painted: for one of these codes it is waited a while.
     */
    async look(src, sought) {
      const video = Object.assign(document.createElement('video'), { muted: true, preload: 'auto', src });
      await event(video, 'loadeddata', 'opening');
      const codes = [];
      for (const { time, codes: wanted } of sought) {
        video.currentTime = time;
        await event(video, 'seeked', `seeking ${time}`);
        const look = () => (video.videoWidth ? window.readCode(pixels(video), 320, 240) : null);
        let code = look();
        for (const end = performance.now() + 5000; !wanted.includes(code) && performance.now() < end; code = look()) {
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        codes.push(code);
      }
      video.currentTime = Math.max(0, video.duration - 0.5);
      await event(video, 'seeked', 'seeking the end');
      const ended = event(video, 'ended', 'playing');
      await video.play();
      await ended;
      const { duration, videoWidth, videoHeight } = video;
      return { duration, videoWidth, videoHeight, codes, seekable: video.seekable.length ? video.seekable.end(0) : 0 };
    },
    /** The number of the error that opening it ends in. */
    async refuses(src) {
      const video = Object.assign(document.createElement('video'), { src });
      await event(video, 'loadeddata', 'opening').catch(() => {});
      return video.error?.code;
    },
    /** The code of a still picture. */
    async still(src) {
      const image = Object.assign(new Image(), { src });
      await image.decode();
      return window.readCode(pixels(image), 320, 240);
    },
  };
};
