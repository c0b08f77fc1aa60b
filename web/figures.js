// The live figures: the browser's own statistics, made into what a person wants to know.

/** One reading of the browser's own statistics; rates are since the reading before. */
export function readFigures(report, before) {
  const stats = [...report.values()];
  const of = (type, kind) => stats.find((s) => s.type === type && s.kind === kind);
  const codec = (rtp) => report.get(rtp?.codecId)?.mimeType?.split('/')[1] ?? '';
  const now = { at: performance.now(), bytes: {}, frames: {} };
  const rate = (key, value) => {
    now.bytes[key] = value;
    if (!before || value === undefined || before.bytes[key] === undefined) return null;
    return Math.max(0, Math.round(((value - before.bytes[key]) * 8) / (now.at - before.at)));
  };
  const perSecond = (key, value) => {
    now.frames[key] = value;
    if (!before || value === undefined || before.frames[key] === undefined) return null;
    return Math.max(0, Math.round(((value - before.frames[key]) * 1000) / (now.at - before.at)));
  };
  const out = of('outbound-rtp', 'video'), outAudio = of('outbound-rtp', 'audio');
  const into = of('inbound-rtp', 'video'), intoAudio = of('inbound-rtp', 'audio');
  const theirs = stats.filter((s) => s.type === 'remote-inbound-rtp');
  const transport = stats.find((s) => s.type === 'transport' && s.selectedCandidatePairId);
  const pair = report.get(transport?.selectedCandidatePairId) ?? stats.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
  const side = (name, video, audio, frames, bytes) => ({
    width: video?.frameWidth ?? 0,
    height: video?.frameHeight ?? 0,
    frames: video?.[frames] ?? 0,
    fps: perSecond(name, video?.[frames]),
    videoKbps: rate(`${name}.video`, video?.[bytes]),
    audioKbps: rate(`${name}.audio`, audio?.[bytes]),
    videoCodec: codec(video),
    audioCodec: codec(audio),
  });
  const figures = {
    sent: { ...side('sent', out, outAudio, 'framesEncoded', 'bytesSent'), lost: theirs.length ? theirs.reduce((n, s) => n + (s.packetsLost ?? 0), 0) : null },
    received: { ...side('received', into, intoAudio, 'framesDecoded', 'bytesReceived'), lost: into || intoAudio ? (into?.packetsLost ?? 0) + (intoAudio?.packetsLost ?? 0) : null },
    roundTripMs: pair?.currentRoundTripTime === undefined ? null : Math.round(pair.currentRoundTripTime * 10_000) / 10,
    connection: pair ? `${report.get(pair.localCandidateId)?.protocol ?? ''} ${report.get(pair.remoteCandidateId)?.candidateType ?? ''}`.trim() : '',
  };
  return { figures, now };
}

/** Writes the figures into the cells that name them; null clears all. */
export function showFigures(figures) {
  const cell = (name, value) => {
    document.querySelector(`[data-figure="${name}"]`).textContent = value === null || value === undefined || value === '' ? '–' : value;
  };
  for (const name of ['sent', 'received']) {
    const f = figures?.[name];
    cell(`${name}.size`, f?.width ? `${f.width} × ${f.height}` : null);
    cell(`${name}.fps`, f?.fps);
    cell(`${name}.videoKbps`, f?.videoKbps);
    cell(`${name}.audioKbps`, f?.audioKbps);
    cell(`${name}.codecs`, f && [f.videoCodec, f.audioCodec].filter(Boolean).join(', '));
    cell(`${name}.lost`, f?.lost);
  }
  cell('roundTripMs', figures?.roundTripMs);
}
