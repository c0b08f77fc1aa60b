// A UDP path between a page and the server that a test can make bad: it delays everything, and loses every so many-th RTP packet.
import dgram from 'node:dgram';

const bind = (port, address) => new Promise((resolve, reject) => {
  const socket = dgram.createSocket('udp4');
  socket.once('error', reject).bind(port, address, () => resolve(socket.off('error', reject).on('error', () => {})));
});

/** RFC 7983, section 7, and RFC 5761, section 4: media, but not RTCP. */
const isRtp = (datagram) => datagram.length > 12 && datagram[0] >> 6 === 2 && (datagram[1] < 192 || datagram[1] > 223);

/**
 * Stands before one port of the server's on 127.0.0.1. `delayMs` is for each direction, `loseEach` counts the RTP packets of
 * each direction; both can be changed at any time.
 */
export async function startUdpProxy({ delayMs = 0, loseEach = Infinity } = {}) {
  const front = await bind(0, '127.0.0.1');
  const backs = new Map();
  const proxy = {
    port: front.address().port,
    delayMs,
    loseEach,
    /** The server's port; nothing passes before it is set. */
    target: undefined,
    lost: { up: 0, down: 0 },
    close() {
      for (const socket of [front, ...backs.values()]) socket.close();
      backs.clear();
      proxy.target = undefined;
    },
  };
  const passed = { up: 0, down: 0 };
  const pass = (way, datagram, send) => {
    if (isRtp(datagram)) {
      passed[way] += 1;
      if (passed[way] % proxy.loseEach === 0) {
        proxy.lost[way] += 1;
        return;
      }
    }
    setTimeout(() => proxy.target && send(), proxy.delayMs);
  };
  front.on('message', async (datagram, { address, port }) => {
    if (!proxy.target) return;
    const key = `${address}:${port}`;
    if (!backs.has(key)) {
      const back = dgram.createSocket('udp4').on('error', () => {});
      back.bind(0, '127.0.0.1');
      back.on('message', (reply) => pass('down', reply, () => front.send(reply, port, address)));
      backs.set(key, back);
    }
    pass('up', datagram, () => backs.get(key)?.send(datagram, proxy.target, '127.0.0.1'));
  });
  return proxy;
}
