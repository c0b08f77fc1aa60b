// Servers and files that mean harm to a player, and servers that break: each is told as the interface says, within bounded time and
// memory, nothing that they name is opened, no thread or file stays, and another film goes on meanwhile.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { until } from './browser.mjs';
import { Rpc } from './rpc.mjs';
import { startServer } from './server.mjs';

/** Longer than the server waits for anything that opens, with a busy machine's share. */
const PATIENCE_MS = 28_000;
/** How much more memory than before all of them together may take at any time. */
const MOST_KIB = 400 * 1024;
const MEDIA = ['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc=s=96x64:r=25', '-f', 'lavfi', '-i', 'sine=440:r=48000', '-g', '25', '-ac', '2', '-pix_fmt', 'yuv420p'];

describe('PlayerEndpoint and those who mean harm', { timeout: 240_000 }, () => {
  let server, rpc, folder, witness, whole;
  const open = new Set();

  const film = (name, seconds, ...coding) => {
    const file = path.join(folder, name);
    assert.equal(spawnSync('ffmpeg', [...MEDIA, '-t', String(seconds), ...coding, file], { stdio: 'inherit', timeout: 60_000 }).status, 0, name);
    return fs.readFileSync(file);
  };
  const proc = (what) => fs.readFileSync(`/proc/${server.pid}/${what}`, 'utf8');
  const status = (key) => Number(proc('status').match(new RegExp(`${key}:\\s+(\\d+)`))[1]);
  const held = () => ({
    projectors: fs.readdirSync(`/proc/${server.pid}/task`).filter((id) => {
      try { return proc(`task/${id}/comm`).trim() === 'projector'; } catch { return false; }
    }).length,
    files: fs.readdirSync(`/proc/${server.pid}/fd`).length,
  });

  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rivero-hostile-'));
    whole = film('whole.webm', 6, '-c:v', 'libvpx', '-b:v', '500k', '-c:a', 'libopus');
    film('long.webm', 200, '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '16', '-c:a', 'libopus');
    server = await startServer();
    rpc = await Rpc.open(server.url);
    witness = await stage(`file://${folder}/long.webm`);
    await until('the other film', () => witness.flow.at(-1), (state) => state === 'FLOWING');
  });
  after(async () => {
    for (const it of open) { it.closeAllConnections?.(); it.close(); }
    rpc?.close();
    await server?.stop();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  /** A player, and something to play to. */
  async function stage(uri, { play = true } = {}) {
    const pipeline = await rpc.create('MediaPipeline');
    const player = await rpc.create('PlayerEndpoint', { mediaPipeline: pipeline, uri, networkCache: 100 });
    const sink = await rpc.create('PassThrough', { mediaPipeline: pipeline });
    const told = [], flow = [];
    for (const event of ['UriEndpointStateChanged', 'EndOfStream', 'Error']) {
      await rpc.subscribe(player, event);
      rpc.on(player, event, (data) => told.push(data.state ?? data.type ?? event));
    }
    await rpc.subscribe(sink, 'MediaFlowInStateChanged');
    rpc.on(sink, 'MediaFlowInStateChanged', (data) => { if (data.mediaType === 'VIDEO') flow.push(data.state); });
    await rpc.invoke(player, 'connect', { sink });
    if (play) await rpc.invoke(player, 'play');
    return { pipeline, player, told, flow, end: () => rpc.release(pipeline) };
  }

  /** How it ended, when it has. */
  async function outcome(name, uri) {
    const it = await stage(uri);
    const over = (told) => told.length >= 3;
    await until(name, () => it.told, over, PATIENCE_MS);
    await it.end();
    return it.told.slice(1).sort().join(' ');
  }
  const ENDED = 'EndOfStream STOP', NO_MEDIA = 'INVALID_MEDIA STOP', NO_URI = 'INVALID_URI STOP';

  /** Runs it, after which there are as many threads that read films and open files as before. */
  async function within(work) {
    const before = held();
    const resident = status('VmRSS');
    fs.writeFileSync(`/proc/${server.pid}/clear_refs`, '5');
    await work();
    const peak = status('VmHWM') - resident;
    await until('all is given back', held, (now) => now.projectors === before.projectors && now.files <= before.files, 10_000);
    assert.ok(peak < MOST_KIB, `${peak} KiB more`);
    assert.deepEqual([witness.told, witness.flow], [['START'], ['FLOWING']], 'another film is not disturbed');
    return peak;
  }

  async function listen(it) {
    await new Promise((resolve) => it.listen(0, '127.0.0.1', resolve));
    open.add(it);
    return it.address().port;
  }

  /** Serves bytes by ranges. */
  function serve(data, request, response) {
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
    const [start, end] = [Number(from ?? 0), to ? Number(to) : data.length - 1];
    response.writeHead(from ? 206 : 200, { 'accept-ranges': 'bytes', 'content-length': end - start + 1, ...(from ? { 'content-range': `bytes ${start}-${end}/${data.length}` } : {}) });
    return data.subarray(start, end + 1);
  }

  test('files that are cut off or spoiled', async () => {
    const films = {
      'a.webm': film('a.webm', 1, '-c:v', 'libvpx', '-c:a', 'libopus'),
      'a.mkv': film('a.mkv', 1, '-c:v', 'libx264', '-c:a', 'aac'),
      'a.mp4': film('a.mp4', 1, '-c:v', 'libx264', '-c:a', 'aac'),
      'f.mp4': film('f.mp4', 1, '-c:v', 'libx264', '-c:a', 'aac', '-movflags', 'faststart'),
      'a.flv': film('a.flv', 1, '-c:v', 'libx264', '-c:a', 'aac'),
      'a.ts': film('a.ts', 1, '-c:v', 'libx264', '-c:a', 'aac'),
      'a.ogv': film('a.ogv', 1, '-c:v', 'libtheora', '-c:a', 'libvorbis'),
      'a.avi': film('a.avi', 1, '-c:v', 'mpeg4', '-c:a', 'libmp3lame'),
    };
    const peak = await within(async () => {
      await Promise.all(Object.entries(films).flatMap(([name, data]) => [0, 100, 1000, data.length / 2, data.length - 1000, data.length].map(async (length) => {
        const file = `${length}-${name}`;
        fs.writeFileSync(path.join(folder, file), data.subarray(0, length));
        const told = await outcome(file, `file://${folder}/${file}`);
        const good = length === data.length ? [ENDED] : length > 1000 ? [ENDED, NO_MEDIA] : [NO_MEDIA];
        // A thousand bytes of some containers hold a frame.
        if (length === 1000) good.push(ENDED);
        assert.ok(good.includes(told), `${file}: ${told}`);
      })));
    });
    console.log(`# ${peak} KiB more at most`);
  });

  test('servers that mean harm', async () => {
    // A pipe that nobody may read: whoever waits to write to it would notice. And a server that nobody may call.
    const pipe = path.join(folder, 'secret.webm');
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    const listener = spawn('sh', ['-c', `exec 3>'${pipe}'`]);
    let read = false, called = 0;
    listener.once('exit', () => { read = true; });
    const canary = await listen(net.createServer((socket) => { called += 1; socket.destroy(); }));
    const drip = (socket, text, then) => {
      let at = 0;
      const timer = setInterval(() => {
        if (socket.destroyed) return clearInterval(timer);
        socket.write(at < text.length ? text[at++] : then);
      }, 300);
    };
    const endless = (out, chunk) => {
      const more = () => { while (!out.destroyed && out.write(chunk)); };
      out.on('drain', more).on('error', () => {});
      more();
    };
    const zeros = Buffer.alloc(64 << 10);
    const stuffing = Buffer.concat(Array.from({ length: 300 }, () => Buffer.concat([Buffer.from([0x47, 0x1f, 0xff, 0x10]), Buffer.alloc(184, 0xff)])));
    const list = (target) => `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${target}\n#EXT-X-ENDLIST\n`;
    const targets = [`file://${pipe}`, pipe, `tcp://127.0.0.1:${canary}`, `concat:${pipe}|${pipe}`, `subfile,,start,0,end,0,,:${pipe}`, `crypto:${pipe}`, `crypto+file://${pipe}`, `rtsp://127.0.0.1:${canary}/a`, `ftp://127.0.0.1:${canary}/a`, `gopher://127.0.0.1:${canary}/a`];
    const pages = {
      '/silent': () => {},
      '/drip-head': (socket) => drip(socket, 'HTTP/1.1 200 OK\r\nContent-Type: video/webm\r\nX: ', 'a'),
      '/drip-body': (socket) => drip(socket, 'HTTP/1.1 200 OK\r\n\r\n', '\0'),
      '/zeros': (socket) => { socket.write('HTTP/1.1 200 OK\r\n\r\n'); endless(socket, zeros); },
      '/stuffing': (socket) => { socket.write('HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n'); endless(socket, stuffing); },
      '/cookies': (socket) => { socket.write('HTTP/1.1 200 OK\r\n'); let n = 0; const more = () => { while (!socket.destroyed && socket.write(`Set-Cookie: a${n++}=${'b'.repeat(100)}\r\n`)); }; socket.on('drain', more).on('error', () => {}); more(); },
      '/line': (socket) => { socket.write('HTTP/1.1 200 OK\r\nX: '); endless(socket, Buffer.alloc(64 << 10, 'a')); },
      '/gzip': (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n');
        const bomb = zlib.gzipSync(Buffer.alloc(64 << 20));
        endless(socket, bomb);
      },
      '/size': (socket) => { socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\nAccept-Ranges: bytes\r\n\r\n'); endless(socket, zeros); },
      '/chunk': (socket) => socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\nabc`),
      '/loop': (socket) => socket.end('HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'),
      '/lines.m3u8': (socket) => { socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/x-mpegurl\r\n\r\n#EXTM3U\n#EXT-X-TARGETDURATION:1\n'); endless(socket, '#EXTINF:1,\na.ts\n'.repeat(1000)); },
      '/self.m3u8': (socket) => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nself.m3u8\n'),
      '/many.m3u8': (socket) => socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n#EXTM3U\n${'#EXT-X-STREAM-INF:BANDWIDTH=1\nmany.m3u8\n'.repeat(1000)}`),
    };
    for (const status of ['404 Not Found', '403 Forbidden', '401 Unauthorized', '500 No', '302 Found', '999 What', 'x']) {
      pages[`/${status.split(' ')[0]}`] = (socket) => socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    }
    for (const [index, target] of targets.entries()) {
      pages[`/to${index}`] = (socket) => socket.end(`HTTP/1.1 302 Found\r\nLocation: ${target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      for (const [name, text] of Object.entries({
        'a.m3u8': list(target),
        'k.m3u8': list('a.ts').replace('#EXTINF', `#EXT-X-KEY:METHOD=AES-128,URI="${target}"\n#EXTINF`),
        'v.m3u8': `#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n${target}\n`,
        'a.ffconcat': `ffconcat version 1.0\nfile '${target}'\n`,
        'a.mpd': `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S"><Period><AdaptationSet mimeType="video/webm"><Representation id="1" bandwidth="1"><BaseURL>${target}</BaseURL></Representation></AdaptationSet></Period></MPD>`,
        'a.sdp': `v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\na=control:${target}\nc=IN IP4 127.0.0.1\nt=0 0\nm=video ${canary} RTP/AVP 96\na=rtpmap:96 VP8/90000\n`,
      })) pages[`/${index}${name}`] = (socket) => socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`);
    }
    const web = await listen(net.createServer((socket) => {
      socket.on('error', () => {}).once('data', (data) => pages[data.toString('latin1').split(' ')[1]]?.(socket));
    }));
    const answer = (socket, head, body) => socket.write(`RTSP/1.0 200 OK\r\nCSeq: ${socket.count}\r\n${head}\r\n${body}`);
    const cameras = {
      '/silent': () => {},
      '/drip': (socket) => drip(socket, `RTSP/1.0 200 OK\r\nCSeq: 1\r\nX: `, 'a'),
      '/head': (socket) => { socket.write('RTSP/1.0 200 OK\r\n'); endless(socket, 'X: a\r\n'.repeat(1000)); },
      '/noise': (socket) => endless(socket, zeros),
      '/frames': (socket) => endless(socket, Buffer.from([0x24, 0, 0xff, 0xff])),
      '/body': (socket) => { socket.write(`RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 2147483647\r\n\r\n`); endless(socket, zeros); },
      '/media': (socket, method) => {
        if (method === 'OPTIONS') return answer(socket, 'Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n', '');
        const sdp = `v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n${'m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n'.repeat(500)}`;
        return answer(socket, `Content-Type: application/sdp\r\nContent-Length: ${sdp.length}\r\n`, sdp);
      },
      '/redirect': (socket) => socket.write(`RTSP/1.0 302 Found\r\nCSeq: ${socket.count}\r\nLocation: file://${pipe}\r\n\r\n`),
    };
    const rtsp = await listen(net.createServer((socket) => {
      socket.count = 0;
      socket.on('error', () => {}).on('data', (data) => {
        const [method, uri] = data.toString('latin1').split(' ');
        socket.count += 1;
        if (uri?.startsWith('rtsp')) cameras[new URL(uri.replace('rtsp:', 'http:')).pathname]?.(socket, method);
      });
    }));
    const ends = {};
    const peak = await within(async () => {
      const all = [...Object.keys(pages).map((page) => `http://127.0.0.1:${web}${page}`), ...Object.keys(cameras).map((name) => `rtsp://127.0.0.1:${rtsp}${name}`)];
      await Promise.all(all.map(async (uri) => { ends[new URL(uri).protocol + new URL(uri).pathname] = await outcome(uri, uri); }));
    });
    for (const [name, told] of Object.entries(ends)) assert.ok([NO_URI, NO_MEDIA].includes(told), `${name}: ${told}`);
    for (const name of ['silent', 'drip-head', '404', '403', '401', '500', 'loop']) assert.equal(ends[`http:/${name}`], NO_URI, name);
    assert.deepEqual([read, called], [false, 0], 'neither the file nor the server that were named');
    listener.kill('SIGKILL');
    console.log(`# ${Object.keys(ends).length} servers, ${peak} KiB more at most`);
  });

  test('a server that dies in the midst of a film, and comes back', async () => {
    let visits = 0;
    const films = http.createServer((request, response) => {
      const data = serve(whole, request, response);
      visits += 1;
      if (visits > 1) return response.end(data);
      response.write(data.subarray(0, whole.length / 2));
      setTimeout(() => { films.closeAllConnections(); films.close(); }, 200);
    });
    const port = await listen(films);
    const it = await stage(`http://127.0.0.1:${port}/whole.webm`);
    await until('the end of the server', () => films.listening, (listens) => !listens, 10_000);
    films.listen(port, '127.0.0.1');
    await until('the end', () => it.told, (told) => told.length === 3, 25_000);
    assert.deepEqual(it.told, ['START', 'STOP', 'EndOfStream']);
    assert.ok(visits > 1);
    await it.end();
  });

  test('a server that dies in the midst of a film, and does not come back', async () => {
    const films = http.createServer((request, response) => {
      response.write(serve(whole, request, response).subarray(0, whole.length / 2));
      setTimeout(() => { films.closeAllConnections(); films.close(); }, 200);
    });
    const port = await listen(films);
    const it = await stage(`http://127.0.0.1:${port}/whole.webm`);
    await until('the end', () => it.told, (told) => told.length === 3, 25_000);
    assert.deepEqual(it.told, ['START', 'UNEXPECTED_ELEMENT_ERROR', 'STOP']);
    await it.end();
  });

  test('passwords, streams without ranges, and certificates that do not verify', async () => {
    const secret = `Basic ${Buffer.from('me:se%cret').toString('base64')}`;
    const films = http.createServer((request, response) => {
      if (request.url === '/stream') return response.end(whole);
      if (request.headers.authorization !== secret) return response.writeHead(401, { 'www-authenticate': 'Basic realm="films"' }).end();
      return response.end(serve(whole, request, response));
    });
    const port = await listen(films);
    for (const [who, end] of [['me:se%25cret@', ENDED], ['me:wrongword@', NO_URI], ['', NO_URI]]) {
      assert.equal(await outcome('a film', `http://${who}127.0.0.1:${port}/whole.webm`), end, who);
    }
    for (const word of ['se%cret', 'se%25cret', 'wrongword']) assert.ok(!server.log().includes(word), 'passwords stay out of the log');
    const stream = await stage(`http://127.0.0.1:${port}/stream`);
    await until('pictures', () => stream.flow.at(-1), (state) => state === 'FLOWING');
    assert.equal((await rpc.invoke(stream.player, 'getVideoInfo')).isSeekable, false);
    await assert.rejects(rpc.invoke(stream.player, 'setPosition', { position: 1000 }), { code: 40700 });
    await until('its end', () => stream.told, (told) => told.includes('EndOfStream'));
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(folder, name));
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']);
    assert.equal(made.status, 0);
    let asked = 0;
    const safe = await listen(https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }, (request, response) => { asked += 1; response.end(serve(whole, request, response)); }));
    assert.equal(await outcome('https', `https://127.0.0.1:${safe}/whole.webm`), NO_URI);
    assert.equal(asked, 0);
    await stream.end();
  });
});
