#!/usr/bin/env bash
# Writes the schedules below fixtures/rtp anew: ffmpeg's VP8 encoder (libvpx, real-time settings, rate control as in a call)
# encodes a test pattern with noise at the speed of a camera, and each frame is noted as it leaves the encoder: when it left,
# how big it was, whether it is a key frame. Frames are cut into packets as libwebrtc cuts them: as few as hold them at
# no more than 1,100 bytes of payload, as equal as possible, the longer ones last. One line a packet.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v ffmpeg >/dev/null && command -v python3 >/dev/null || { echo "This needs ffmpeg and python3." >&2; exit 1; }

record() { # name, size, bitrate
  ffmpeg -hide_banner -loglevel error -re -f lavfi -i "testsrc2=size=$2:rate=25,noise=alls=10:allf=t" -t 10 \
    -c:v libvpx -b:v "$3" -minrate "$3" -maxrate "$3" -bufsize "$3" -deadline realtime -cpu-used 8 -lag-in-frames 0 \
    -error-resilient 1 -g 3000 -flush_packets 1 -f ivf pipe:1 | python3 -c '
import math, struct, sys, time
def take(n):
    data = b""
    while len(data) < n:
        part = sys.stdin.buffer.read(n - len(data))
        if not part:
            return None
        data += part
    return data
name = sys.argv[1]
print(f"# {name}: milliseconds since the first frame, payload bytes, m for the last packet of a frame, k for a key frame")
take(32)
start = None
while (header := take(12)) is not None:
    size = struct.unpack("<I", header[:4])[0]
    frame = take(size)
    now = time.monotonic()
    start = start or now
    count = math.ceil(size / 1100)
    small, longer = divmod(size, count)
    for i in range(count):
        length = small + (i >= count - longer)
        flags = ("m" if i == count - 1 else "") + ("k" if frame[0] & 1 == 0 else "")
        print(f"{(now - start) * 1000:.1f} {length} {flags or chr(45)}")
' "$1" >"fixtures/rtp/$1.txt"
}

record vp8-600k 640x480 600k
record vp8-2m 1280x720 2M
