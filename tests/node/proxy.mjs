// A TCP proxy in front of the server whose connections a test can cut, as a network would.
import net from 'node:net';

export async function startProxy(targetPort) {
  const pairs = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(targetPort, '127.0.0.1');
    const pair = { near, far };
    pairs.add(pair);
    const end = () => {
      near.destroy();
      far.destroy();
      pairs.delete(pair);
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  const cut = () => {
    const count = pairs.size;
    for (const { near, far } of [...pairs]) {
      near.destroy();
      far.destroy();
    }
    return count;
  };
  return {
    url: `ws://127.0.0.1:${port}/kurento`,
    /** Destroys every connection now open, on both sides, and returns how many there were. */
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
