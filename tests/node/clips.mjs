// Clips for the tests of players: what the ffmpeg command line writes here, of every container and codec that makes sense.
//
// All show the same: four fields of colour (red, green; blue, white) with something black that moves, and a tone of 440 Hz.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

export const TONE = 440;
export const SECONDS = 1.6;
const RATE = 25;
const WIDTH = 176, HEIGHT = 144;

const FIELDS = [['0:0', 'red'], ['iw/2:0', 'lime'], ['0:ih/2', 'blue'], ['iw/2:ih/2', 'white']];
const PICTURE = (width, height) => `color=black:s=${width}x${height}:r=${RATE}:d=${SECONDS},format=rgb24,`
  + `${FIELDS.map(([at, colour]) => `drawbox=${at}:iw/2:ih/2:${colour}:fill`).join(',')}[fields];`
  + `color=black:s=12x12:r=${RATE}:d=${SECONDS}[mark];[fields][mark]overlay=x='W/2-6+(W/8)*sin(8*t)':y='H/2-6',format=yuv420p`;
const SOUND = `sine=${TONE}:r=48000:d=${SECONDS},volume=12dB`;

/** How each codec is written: ffmpeg's arguments. The picture has a size that all of them know. */
export const VIDEO = {
  vp8: '-c:v libvpx -deadline realtime -cpu-used 8 -g 20',
  'vp8 with hidden pictures': '-c:v libvpx -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -arnr-maxframes 5 -g 100',
  vp9: '-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 20',
  'vp9 with hidden pictures': '-c:v libvpx-vp9 -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -g 100',
  av1: '-c:v libaom-av1 -usage realtime -cpu-used 8 -g 20',
  'h264 baseline': '-c:v libx264 -profile:v baseline -preset ultrafast -pix_fmt yuv420p',
  'h264 with B pictures': '-c:v libx264 -preset veryfast -bf 3 -pix_fmt yuv420p',
  h265: '-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p',
  'h265 with B pictures': '-c:v libx265 -preset superfast -x265-params log-level=none:bframes=3 -pix_fmt yuv420p',
  mpeg1video: '-c:v mpeg1video', mpeg2video: '-c:v mpeg2video -bf 2', mpeg4: '-c:v mpeg4 -q:v 3', 'mpeg4 with B pictures': '-c:v mpeg4 -bf 2 -q:v 3',
  h261: '-c:v h261', h263: '-c:v h263', h263p: '-c:v h263p', flv1: '-c:v flv', mjpeg: '-c:v mjpeg -pix_fmt yuvj420p -q:v 3',
  theora: '-c:v libtheora -q:v 7', wmv1: '-c:v wmv1', wmv2: '-c:v wmv2', msmpeg4v2: '-c:v msmpeg4v2', msmpeg4v3: '-c:v msmpeg4',
  ffv1: '-c:v ffv1', huffyuv: '-c:v huffyuv', ffvhuff: '-c:v ffvhuff', utvideo: '-c:v utvideo', magicyuv: '-c:v magicyuv', prores: '-c:v prores_ks',
  rawvideo: '-c:v rawvideo -pix_fmt yuv420p', png: '-c:v png', qtrle: '-c:v qtrle', snow: '-c:v snow', svq1: '-c:v svq1', jpeg2000: '-c:v jpeg2000',
  ljpeg: '-c:v ljpeg', zmbv: '-c:v zmbv', flashsv: '-c:v flashsv', rv10: '-c:v rv10', rv20: '-c:v rv20', cfhd: '-c:v cfhd', dirac: '-c:v vc2',
  msvideo1: '-c:v msvideo1', cinepak: '-c:v cinepak', webp: '-c:v libwebp', v210: '-c:v v210', asv2: '-c:v asv2', hap: '-c:v hap',
};

export const AUDIO = {
  opus: '-c:a libopus', vorbis: '-c:a libvorbis', aac: '-c:a aac', mp3: '-c:a libmp3lame', mp2: '-c:a mp2', ac3: '-c:a ac3', eac3: '-c:a eac3',
  flac: '-c:a flac', alac: '-c:a alac', pcm_s16le: '-c:a pcm_s16le', pcm_s16be: '-c:a pcm_s16be', pcm_u8: '-c:a pcm_u8', pcm_s24le: '-c:a pcm_s24le',
  pcm_s32le: '-c:a pcm_s32le', pcm_f32le: '-c:a pcm_f32le', pcm_alaw: '-c:a pcm_alaw -ar 8000', pcm_mulaw: '-c:a pcm_mulaw -ar 8000', g722: '-c:a g722 -ar 16000 -ac 1',
  g726: '-c:a g726 -ar 8000 -ac 1', gsm: '-c:a libgsm -ar 8000 -ac 1', gsm_ms: '-c:a libgsm_ms -ar 8000 -ac 1', speex: '-c:a libspeex -ar 16000', wmav1: '-c:a wmav1', wmav2: '-c:a wmav2',
  adpcm_ms: '-c:a adpcm_ms', adpcm_ima_wav: '-c:a adpcm_ima_wav', adpcm_swf: '-c:a adpcm_swf -ar 44100', adpcm_yamaha: '-c:a adpcm_yamaha', nellymoser: '-c:a nellymoser -ar 44100 -ac 1', dts: '-c:a dca',
  truehd: '-c:a truehd', mlp: '-c:a mlp', tta: '-c:a tta', wavpack: '-c:a wavpack', s302m: '-c:a s302m', g723_1: '-c:a g723_1 -ar 8000 -ac 1', real_144: '-c:a real_144 -ar 8000 -ac 1',
};

/** Containers that take tracks of both kinds, with the codecs that make sense there; those with none named are offered all. */
const FOR_BOTH = {
  mkv: undefined, mp4: undefined, avi: undefined,
  mov: 'h264 baseline, h264 with B pictures, h265, h265 with B pictures, mpeg4, mpeg4 with B pictures, mpeg2video, mjpeg, prores, png, qtrle, svq1, jpeg2000, cinepak, v210, hap, cfhd, rawvideo, ffv1, aac, alac, mp3, ac3, pcm_s16le, pcm_s16be, pcm_s24le, pcm_u8, pcm_alaw, pcm_mulaw, adpcm_ima_wav, opus, gsm_ms',
  asf: 'wmv1, wmv2, msmpeg4v2, msmpeg4v3, mpeg4, h264 baseline, mjpeg, wmav1, wmav2, mp3, aac, pcm_s16le, ac3, adpcm_ms', nut: 'ffv1, rawvideo, h264 with B pictures, vp8, snow, pcm_s16le, opus, flac, mp2',
  webm: 'vp8, vp8 with hidden pictures, vp9, vp9 with hidden pictures, av1, opus, vorbis',
  flv: 'flv1, h264 baseline, h264 with B pictures, flashsv, aac, mp3, adpcm_swf, nellymoser, speex, pcm_alaw, pcm_mulaw',
  ts: 'h264 baseline, h264 with B pictures, h265, h265 with B pictures, mpeg1video, mpeg2video, mpeg4, mpeg4 with B pictures, dirac, jpeg2000, aac, mp3, mp2, ac3, eac3, opus, dts, truehd, s302m',
  mpg: 'mpeg1video, mpeg2video, mpeg4, h264 baseline, h264 with B pictures, mp2, mp3, ac3, dts', vob: 'mpeg2video, ac3',
  ogg: 'theora, vp8, dirac, vorbis, opus, flac, speex', ogv: 'theora, vorbis',
  '3gp': 'h263, mpeg4, h264 baseline, h264 with B pictures, aac', '3g2': 'h264 baseline, aac', f4v: 'h264 with B pictures, aac', wmv: 'wmv2, wmav2',
  mxf: 'mpeg2video, h264 baseline, jpeg2000, pcm_s16le, pcm_s24le', rm: 'rv10, rv20, ac3, real_144', wtv: 'mpeg2video, mp2', swf: 'flv1', ismv: 'h264 baseline, aac', gxf: 'mpeg2video, pcm_s16le',
};
/** And those of one track. */
const FOR_ONE = {
  ivf: ['vp8', 'vp9', 'av1'], h264: ['h264 baseline', 'h264 with B pictures'], hevc: ['h265', 'h265 with B pictures'], obu: ['av1'], m1v: ['mpeg1video'], m2v: ['mpeg2video'],
  h263: ['h263'], h261: ['h261'], mjpeg: ['mjpeg'], mjpg: ['mjpeg'], gif: [''], apng: [''], y4m: [''], m4v: ['mpeg4'],
  wav: ['pcm_s16le', 'pcm_u8', 'pcm_s24le', 'pcm_s32le', 'pcm_f32le', 'pcm_alaw', 'pcm_mulaw', 'adpcm_ms', 'adpcm_ima_wav', 'adpcm_yamaha', 'gsm_ms', 'mp3', 'ac3', 'g722', 'g726', 'wmav2'],
  w64: ['pcm_s16le'], aiff: ['pcm_s16be'], au: ['pcm_s16be', 'pcm_mulaw'], caf: ['pcm_s16le', 'alac', 'aac', 'opus'], mp3: ['mp3'], mp2: ['mp2'], aac: ['aac'], latm: ['aac'], m4a: ['aac', 'alac', 'ac3', 'flac'],
  flac: ['flac'], opus: ['opus'], oga: ['flac', 'vorbis', 'opus', 'speex'], spx: ['speex'], ac3: ['ac3'], eac3: ['eac3'], dts: ['dts'], mlp: ['mlp'], thd: ['truehd'], tta: ['tta'], wv: ['wavpack'],
  wma: ['wmav2'], voc: ['pcm_u8', 'pcm_s16le'], gsm: ['gsm'], ra: ['real_144'], mka: ['vorbis', 'pcm_s16le', 'dts'], weba: ['opus'], sox: ['pcm_s32le'],
};

/** Whether a picture's quarters, as mean colours, look as they should: red, green; blue, white. */
export const inColour = ([red, green, blue, white]) => red[0] > 130 && red[1] < 110 && red[2] < 110 && green[1] > 130 && green[0] < 120 && green[2] < 120
  && blue[2] > 130 && blue[0] < 110 && blue[1] < 110 && white.every((c) => c > 170);

const spaced = (text) => text.split(' ').filter(Boolean);

function run(args, folder) {
  return new Promise((resolve) => {
    const child = spawn('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
    let said = '';
    const out = [];
    child.stdout.on('data', (data) => out.push(data));
    child.stderr.on('data', (data) => { said += data; });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ done: code === 0, said, out: Buffer.concat(out) });
    });
  });
}

/** Does the work with so many hands. */
export async function inTurn(jobs, hands, work) {
  const waiting = [...jobs];
  await Promise.all(Array.from({ length: hands }, async () => {
    while (waiting.length) await work(waiting.shift());
  }));
}

/** What every clip is made from. */
async function original(folder) {
  const { done, said } = await run(['-filter_complex', `${PICTURE(WIDTH, HEIGHT)}[v];${SOUND}[a]`, '-map', '[v]', '-map', '[a]', '-c:v', 'rawvideo', '-c:a', 'pcm_s16le', 'original.nut'], folder);
  if (!done) throw new Error(`ffmpeg makes no original: ${said}`);
}

/** One clip; `undefined` when ffmpeg refuses it. A clip: its path, and what of it is to be seen and heard. */
async function write(folder, name, file, video, audio, more = []) {
  const args = ['-i', 'original.nut', '-map_metadata', '-1', '-threads', '1'];
  if (video !== undefined) args.push('-map', '0:v', ...spaced(video));
  if (audio !== undefined) args.push('-map', '0:a', ...spaced(audio));
  const { done } = await run([...args, '-strict', '-2', '-f', formatOf(file), ...more, file].filter((word) => word !== ''), folder);
  const full = path.join(folder, file);
  if (!done || !fs.statSync(full, { throwIfNoEntry: false })?.size) return undefined;
  return { name, path: full, video: video !== undefined, audio: audio !== undefined };
}

const FORMATS = { mkv: 'matroska', mka: 'matroska', weba: 'webm', ts: 'mpegts', mpg: 'mpeg', wmv: 'asf', wma: 'asf', aac: 'adts', m4a: 'ipod', m1v: 'mpeg1video', m2v: 'mpeg2video', mjpg: 'mpjpeg', y4m: 'yuv4mpegpipe', drc: 'dirac', thd: 'truehd', spx: 'spx', ra: 'rm', latm: 'latm' };
const formatOf = (file) => FORMATS[file.split('.').pop()] ?? file.split('.').pop();

/** Containers by codecs: { clips, refused }. Each codec of a container once; sound and pictures share clips where both are taken. */
export async function matrix(folder) {
  await original(folder);
  const clips = [], jobs = [];
  let refused = 0, number = 0;
  for (const [ext, named] of Object.entries(FOR_BOTH)) {
    const codecs = named?.split(', ') ?? [...Object.keys(VIDEO), ...Object.keys(AUDIO)];
    const [videos, audios] = [VIDEO, AUDIO].map((known) => codecs.filter((codec) => codec in known));
    for (let at = 0; at < Math.max(videos.length, audios.length); at++) jobs.push({ ext, video: videos[at], audio: audios[at] });
  }
  for (const [ext, codecs] of Object.entries(FOR_ONE)) for (const codec of codecs) jobs.push({ ext, [codec in AUDIO ? 'audio' : 'video']: codec });
  await inTurn(jobs, 2, async ({ ext, video, audio }) => {
    const make = async (v, a) => {
      const name = `${[v, a].filter(Boolean).join(' and ')} in ${ext}`;
      const clip = await write(folder, name, `${number++}.${ext}`, v === undefined ? undefined : VIDEO[v] ?? '', a === undefined ? undefined : AUDIO[a]);
      if (clip) clips.push(clip);
      return clip !== undefined;
    };
    if (await make(video, audio)) return;
    if (video === undefined || audio === undefined) return refused++;
    // One of both is not for this container, or neither.
    for (const [v, a] of [[video], [undefined, audio]]) if (!(await make(v, a))) refused++;
  });
  return { clips, refused };
}

/** Each line is a clip: what is odd, the file, ffmpeg's arguments behind the original, what is looked for. */
const ODD = [
  ...['yuv422p', 'yuv444p', 'yuv420p10le', 'yuv422p10le', 'yuv444p10le', 'yuvj420p'].map((format) => [`${format} in h264`, 'mp4', `-c:v libx264 -preset ultrafast -pix_fmt ${format} -c:a aac`]),
  ['gray in h264', 'mp4', '-c:v libx264 -preset ultrafast -pix_fmt gray -c:a aac', { gray: true }],
  ['rgb in h264', 'mkv', '-c:v libx264rgb -preset ultrafast -an'],
  ...['yuv420p10le', 'yuv444p', 'gray'].map((format) => [`${format} in h265`, 'mkv', `-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt ${format} -an`, { gray: format === 'gray' }]),
  ...['yuv422p', 'yuv440p', 'yuv444p', 'yuv420p10le', 'yuv444p12le', 'gbrp'].map((format) => [`${format} in vp9`, 'webm', `-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt ${format} -c:a libopus`]),
  ['10 bits in av1', 'mkv', '-c:v libaom-av1 -usage realtime -cpu-used 8 -pix_fmt yuv420p10le -an'],
  ['444 in av1', 'mkv', '-c:v libaom-av1 -usage realtime -cpu-used 8 -pix_fmt yuv444p -an'],
  ['alpha in vp8', 'webm', '-c:v libvpx -deadline realtime -cpu-used 8 -auto-alt-ref 0 -pix_fmt yuva420p -c:a libvorbis'],
  ['alpha in vp9', 'webm', '-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -auto-alt-ref 0 -pix_fmt yuva420p -c:a libvorbis'],
  ['alpha in prores', 'mov', '-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le -c:a alac'],
  ...['rgba', 'rgb24', 'pal8', 'rgb48be', 'rgba64be'].map((format) => [`${format} in png`, 'mov', `-c:v png -pix_fmt ${format} -an`]),
  ...['gray', 'gray16be', 'ya8'].map((format) => [`${format} in png`, 'mov', `-c:v png -pix_fmt ${format} -an`, { gray: true }]),
  ...['yuv410p', 'yuv411p', 'yuv444p16le', 'yuva420p', 'bgr0', 'gbrp16le'].map((format) => [`${format} in ffv1`, 'mkv', `-c:v ffv1 -pix_fmt ${format} -an`]),
  ['gray12 in ffv1', 'mkv', '-c:v ffv1 -pix_fmt gray12le -an', { gray: true }],
  ...['bgr24', 'rgb555le', 'rgb565le', 'yuyv422', 'uyvy422', 'nv12', 'bgra'].map((format) => [`raw ${format}`, 'nut', `-c:v rawvideo -pix_fmt ${format} -an`]),
  ...['yuvj422p', 'yuvj444p'].map((format) => [`${format} in mjpeg`, 'avi', `-c:v mjpeg -pix_fmt ${format} -q:v 3 -an`]),
  ['interlaced mpeg2', 'ts', '-c:v mpeg2video -flags +ildct+ilme -top 1 -c:a mp2'],
  ['interlaced h264', 'mp4', '-c:v libx264 -preset veryfast -x264-params interlaced=1 -c:a aac'],
  ['dv', 'avi', '-vf scale=720:576,setsar=1 -c:v dvvideo -pix_fmt yuv420p -c:a pcm_s16le -ar 48000 -ac 2'],
  // Sizes, shapes.
  ...[['vp8', 'webm'], ['vp9', 'webm'], ['h264 baseline', 'mp4'], ['ffv1', 'mkv'], ['mjpeg', 'avi'], ['mpeg4', 'avi']].map(([codec, ext]) => [`odd size in ${codec}`, ext, `-vf scale=177:145,setsar=1 ${VIDEO[codec].replace('-pix_fmt yuv420p', '-pix_fmt yuv444p').replace('-profile:v baseline', '')} -an`]),
  ...['1:1', '2:2', '1:33', '16:2', '3:5'].map((size) => [`size ${size}`, 'mkv', `-vf scale=${size},setsar=1 -c:v ffv1 -pix_fmt yuv444p -c:a flac`, { looks: () => true }]),
  ['a size of 1:1 in vp8', 'webm', '-vf scale=1:1,setsar=1 -c:v libvpx -deadline realtime -an', { looks: () => true }],
  ['very wide', 'mp4', '-vf scale=2048:32,setsar=1 -c:v libx264 -preset ultrafast -c:a aac'],
  ['very high', 'webm', '-vf scale=32:1024,setsar=1 -c:v libvpx -deadline realtime -cpu-used 8 -an'],
  ...['90', '180', '270'].map((angle) => [`rotated by ${angle}`, 'mp4', `-c:v libx264 -preset ultrafast -metadata:s:v rotate=${angle} -c:a aac`]),
  ['pixels that are not square', 'mp4', '-vf setsar=64/45 -c:v libx264 -preset ultrafast -c:a aac'],
  ['pixels that are not square in mpeg2', 'mpg', '-vf setsar=16/11 -aspect 16:9 -c:v mpeg2video -c:a mp2'],
  // Rates, channels.
  ...[8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 88200, 96000].map((rate) => [`pcm at ${rate} Hz`, 'wav', `-vn -c:a pcm_s16le -ar ${rate}`]),
  ...[8000, 11025, 22050, 44100, 96000].map((rate) => [`aac at ${rate} Hz`, 'm4a', `-vn -c:a aac -ar ${rate}`]),
  ...[8000, 22050, 44100].map((rate) => [`mp3 at ${rate} Hz`, 'mp3', `-vn -c:a libmp3lame -ar ${rate}`]),
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((channels) => [`pcm of ${channels} channels`, 'wav', `-vn -c:a pcm_s16le -ac ${channels}`]),
  ...[['aac', 'm4a', [1, 2, 3, 4, 5, 6, 8]], ['flac', 'flac', [1, 6, 8]], ['libvorbis', 'ogg', [1, 6, 8]], ['ac3', 'ac3', [1, 6]]].flatMap(([codec, ext, counts]) => counts.map((count) => [`${codec} of ${count} channels`, ext, `-vn -c:a ${codec} -ac ${count}`])),
  ...[1, 6, 8].map((count) => [`opus of ${count} channels`, 'opus', `-vn -c:a libopus -mapping_family ${count > 2 ? 1 : 0} -ac ${count}`]),
  ['opus in packets of 60 ms', 'webm', '-c:v libvpx -deadline realtime -c:a libopus -frame_duration 60'],
  ['opus in packets of 2.5 ms', 'ogg', '-vn -c:a libopus -application lowdelay -frame_duration 2.5'],
  // Times.
  ['pictures that come irregularly', 'mkv', '-vf select=lt(mod(n\\,10)\\,4) -vsync vfr -c:v libx264 -preset ultrafast -c:a aac', { leastPictures: 3 }],
  ['pictures that come irregularly, in vp8', 'webm', '-vf select=lt(mod(n\\,10)\\,4) -vsync vfr -c:v libvpx -deadline realtime -c:a libopus', { leastPictures: 3 }],
  ['five pictures a second', 'mp4', '-r 5 -c:v libx264 -bf 0 -preset ultrafast -c:a aac', { leastPictures: 3 }],
  ['sixty pictures a second', 'webm', '-r 60 -c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus'],
  ...['mkv', 'mp4', 'ts', 'webm', 'nut'].map((ext) => [`a beginning at 100 s in ${ext}`, ext, `${ext === 'webm' ? '-c:v libvpx -deadline realtime -c:a libopus' : '-c:v libx264 -bf 2 -c:a aac'} -output_ts_offset 100`]),
  ['a clock that wraps', 'ts', '-c:v libx264 -preset ultrafast -bf 2 -c:a aac -output_ts_offset 95441.9 -muxdelay 0'],
  ['decoding before zero', 'mp4', '-c:v libx264 -preset ultrafast -bf 3 -c:a aac -avoid_negative_ts disabled -movflags negative_cts_offsets'],
  ['an edit list', 'mp4', '-c:v libx264 -preset ultrafast -bf 2 -c:a aac -output_ts_offset -0.3 -avoid_negative_ts disabled'],
  ['sound that begins later', 'mkv', '-af adelay=500 -c:v libx264 -preset ultrafast -c:a aac'],
  ['fragments', 'mp4', '-c:v libx264 -preset ultrafast -bf 2 -c:a aac -movflags frag_keyframe+empty_moov'],
  ['the index in front', 'mp4', '-c:v libx264 -preset ultrafast -bf 2 -c:a aac -movflags faststart'],
  ['no index at all', 'webm', '-c:v libvpx -deadline realtime -c:a libopus -live 1'],
  // What else is in a file.
  ['two of each', 'mkv', '-map 0:v -map 0:v -map 0:a -map 0:a -map 0:a -c:v libx264 -preset ultrafast -c:a aac'],
  ['two of each in ts', 'ts', '-map 0:v -map 0:v -map 0:a -map 0:a -c:v mpeg2video -c:a mp2'],
  ['subtitles', 'mkv', '-i words.srt -map 0 -map 1 -c:v libx264 -preset ultrafast -c:a aac -c:s srt'],
  ['subtitles in mp4', 'mp4', '-i words.srt -map 0 -map 1 -c:v libx264 -preset ultrafast -c:a aac -c:s mov_text'],
  ['a time code track', 'mov', '-c:v libx264 -preset ultrafast -c:a aac -timecode 10:00:00:00'],
  ['chapters and metadata', 'mp4', '-i words.ini -map 0 -map_metadata 1 -map_chapters 1 -c:v libx264 -preset ultrafast -c:a aac'],
  ...['mp3', 'flac', 'm4a'].map((ext) => [`a cover in ${ext}`, ext, `-i cover.png -map 0:a -map 1:v -c:v ${ext === 'm4a' ? 'mjpeg -pix_fmt yuvj420p' : 'png'} -disposition:v attached_pic`, { video: false }]),
];

/** Bars of a numbered picture: bits in Gray's code, so that one changes at a time; the lowest first. */
export const BITS = 10;

/** Clips of ten seconds whose pictures carry their numbers, 25 a second, with few key frames: `{ name, path }`. */
export async function numbered(folder, kinds) {
  const bars = `color=black:s=320x96:r=${RATE}:d=10,format=gray,geq=lum='if(mod(floor(N/pow(2,floor(X*${BITS}/W)))+floor(N/pow(2,floor(X*${BITS}/W)+1)),2),235,16)',format=yuv420p`;
  const { done, said } = await run(['-f', 'lavfi', '-i', bars, '-f', 'lavfi', '-i', `sine=${TONE}:r=48000:d=10`, '-c:v', 'rawvideo', '-c:a', 'pcm_s16le', 'numbers.nut'], folder);
  if (!done) throw new Error(`ffmpeg makes no numbers: ${said}`);
  const clips = [];
  await inTurn(Object.entries(kinds), 2, async ([name, words]) => {
    const file = `${name.replaceAll(/\W/g, '-')}.${name.split('.').pop()}`;
    const { done, said } = await run(['-i', 'numbers.nut', ...spaced(words), '-threads', '1', '-strict', '-2', '-f', formatOf(file), file], folder);
    if (!done) throw new Error(`ffmpeg does not make ${name}: ${said}`);
    clips.push({ name, path: path.join(folder, file) });
  });
  return clips;
}

const LUMA = ([r, g, b]) => 0.3 * r + 0.6 * g + 0.1 * b;
/** Red, green, blue and white without colour. */
const inGray = (quarters) => {
  const [red, green, blue, white] = quarters.map(LUMA);
  return quarters.flat().every((c, i) => Math.abs(c - quarters.flat()[i - (i % 3)]) < 20) && blue < red && red < green && green < white && white - blue > 120;
};

/** Clips that are odd in one way each; a list as [`matrix`] gives it. */
export async function oddities(folder) {
  await original(folder);
  const at = (second) => `00:00:0${Math.floor(second)},${String(Math.round((second % 1) * 1000)).padStart(3, '0')}`;
  fs.writeFileSync(path.join(folder, 'words.srt'), [0.2, 0.8].map((s, i) => `${i + 1}\n${at(s)} --> ${at(s + 0.4)}\nword ${i}\n`).join('\n'));
  fs.writeFileSync(path.join(folder, 'words.ini'), ';FFMETADATA1\ntitle=A film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=800\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=800\nEND=1600\ntitle=Two\n');
  await run(['-f', 'lavfi', '-i', 'color=orange:s=64x64', '-frames:v', '1', 'cover.png'], folder);
  const clips = [];
  let refused = 0;
  await inTurn(ODD.map((odd, number) => [number, ...odd]), 2, async ([number, name, ext, words, { gray, looks, video = true, leastPictures } = {}]) => {
    const file = `odd${number}.${ext}`;
    const { done, said } = await run(['-i', 'original.nut', ...spaced(words), '-threads', '1', '-strict', '-2', '-f', formatOf(file), file], folder);
    if (!done) {
      refused++;
      return console.log(`# ffmpeg does not write ${name}: ${said.split('\n')[0]}`);
    }
    const silent = / -an\b/.test(words), blind = / -vn\b|^-vn/.test(words) || !video;
    clips.push({ name, path: path.join(folder, file), video: !blind, audio: !silent, leastPictures, looksRight: looks ?? (gray ? inGray : inColour) });
  });
  return { clips, refused };
}

/**
 * What ffmpeg itself makes of a clip: nothing if pictures and sound are as they should, otherwise what is wrong with them. It writes
 * some pairs that it does not read.
 */
export async function wrongByFfmpeg({ path: file, video, audio, looksRight = inColour }) {
  for (const kind of [video && 'v', audio && 'a'].filter(Boolean)) {
    const { done, out } = await run(['-i', file, '-map', `0:${kind}`, '-f', 'framecrc', '-'], path.dirname(file));
    const [, ticks, scale] = /#tb 0: (\d+)\/(\d+)/.exec(out) ?? [];
    const times = [...out.toString().matchAll(/^0, *-?\d+, *(-?\d+)/gm)].map(([, at]) => (Number(at) * ticks) / scale);
    const last = times.at(-1) - times[0];
    if (!done || !(last > SECONDS * 0.6 && last < SECONDS * 1.4)) return `of ${times.length} frames the last comes after ${last} s`;
  }
  if (!video) return undefined;
  const { out } = await run(['-i', file, '-map', '0:v', '-vf', 'scale=4:4:flags=area,format=rgb24', '-f', 'rawvideo', '-'], path.dirname(file));
  const frames = Math.floor(out.length / 48), picture = out.subarray(48 * Math.floor(frames / 2));
  const quarters = [0, 3, 12, 15].map((pixel) => [...picture.subarray(pixel * 3, pixel * 3 + 3)]);
  return frames >= 30 && looksRight(quarters) ? undefined : `${frames} pictures: ${JSON.stringify(quarters)}`;
}
