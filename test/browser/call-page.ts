import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** Plays a client in a call: over GraphQL with `connectCall`, or as the mobile apps over Socket.IO. */
const SCRIPT = /* JavaScript */ `
  import { createClient } from '/graphql-ws/client.js';
  import { connectCall } from '/client.js';

  const openConnection = async (iceServers, onTrack) => {
    const connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' });
    const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
    for (const track of stream.getTracks()) connection.addTrack(track, stream);
    return connection;
  };

  const client = (url, token) =>
    createClient({ url: url.replace('http', 'ws') + '/graphql', lazy: false, connectionParams: { token } });

  window.joinByGraphql = async ({ url, token, iceServers, ...options }) => {
    window.connection = await openConnection(iceServers);
    window.errors = [];
    window.call = connectCall({
      ...options,
      client: client(url, token),
      connection: window.connection,
      onHangUp: () => (window.isOver = true),
      onError: (error) => window.errors.push(String(error.message ?? JSON.stringify(error))),
    });
  };

  window.joinBySocketIo = async ({ url, token, iceServers, userId, calls, losesFirstOffer }) => {
    const connection = (window.connection = await openConnection(iceServers));
    const socket = (window.socket = io(url, { transports: ['websocket'] }));
    window.errors = [];
    const send = (message) => socket.emit('webrtc_forward', { user_id: userId, message });
    connection.onicecandidate = ({ candidate }) => {
      if (candidate === null) return;
      const { sdpMid, sdpMLineIndex } = candidate;
      send({ type: 'candidate', data: { candidate: candidate.candidate, sdpMid, sdpMLineIndex } });
    };
    const describe = async (description) => {
      await connection.setLocalDescription(description);
      if (losesFirstOffer) losesFirstOffer = false;
      else send({ type: 'sdp', data: { type: description.type, sdp: description.sdp } });
    };
    let received = Promise.resolve();
    const handle = async ({ content: { message } }) => {
      if (message === 'CALLING') send('READY');
      else if (message === 'READY') await describe(await connection.createOffer());
      else if (message === 'QUITTING') window.isOver = true;
      else if (message.type === 'candidate') await connection.addIceCandidate(message.data);
      else {
        await connection.setRemoteDescription(message.data);
        if (message.data.type === 'offer') await describe(await connection.createAnswer());
      }
    };
    // As in the apps, a message that cannot be applied does not end the call.
    const report = (error) => window.errors.push(String(error));
    socket.on('webrtc_forward', (frame) => (received = received.then(() => handle(frame)).catch(report)));
    await new Promise((resolve) => {
      socket.on('connect', () => socket.emit('authenticate', { token }));
      socket.once('success', resolve);
    });
    window.hangUp = () => send('QUITTING');
    if (calls) send('CALLING');
  };

  /** Frames of video that were decoded, and the kinds of the used candidates. */
  window.readStats = async () => {
    const stats = [...(await window.connection.getStats()).values()];
    const transport = stats.find(({ type }) => type === 'transport');
    const pair = stats.find(({ id }) => id === transport?.selectedCandidatePairId);
    const kindOf = (id) => stats.find((entry) => entry.id === id)?.candidateType;
    return {
      frames: stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video')?.framesDecoded ?? 0,
      candidates: pair === undefined ? [] : [kindOf(pair.localCandidateId), kindOf(pair.remoteCandidateId)],
    };
  };
  window.isLoaded = true;
`;

const FILES: Readonly<Record<string, string>> = {
  '/client.js': 'client/index.js',
  '/socket.io.js': 'src/page/vendor/socket.io-1.3.6.js',
};

/** Serves a page with which Chromium takes part in a call. */
export async function startCallPage() {
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    const name =
      FILES[url] ??
      (url.startsWith('/graphql-ws/')
        ? `node_modules${url.replace('graphql-ws/', 'graphql-ws/dist/')}`
        : undefined);
    if (url === '/') {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(
        `<!doctype html><script src="/socket.io.js"></script><script type="module">${SCRIPT}</script>`,
      );
    } else if (name === undefined) response.writeHead(404).end();
    else
      readFile(join(ROOT, name)).then(
        (content) => {
          response.setHeader('content-type', 'text/javascript; charset=utf-8');
          response.end(content);
        },
        () => response.writeHead(404).end(),
      );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    [Symbol.dispose]: () => void server.close(),
  };
}
