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

  // Small, as one machine encodes the video of all clients.
  const MEDIA = { video: { width: 160, height: 120, frameRate: 10 }, audio: true };
  const CALL_EVENTS =
    'subscription CallEvents($conversationId: ID!, $participantId: ID!) {' +
    ' callEvents(conversationId: $conversationId, participantId: $participantId) { cursor } }';

  const addMedia = async (connection) => {
    const stream = await navigator.mediaDevices.getUserMedia(MEDIA);
    for (const track of stream.getTracks()) connection.addTrack(track, stream);
  };

  const openConnection = async (iceServers) => {
    const connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' });
    window.signalingStates = [];
    connection.addEventListener('signalingstatechange', () =>
      window.signalingStates.push(connection.signalingState),
    );
    await addMedia(connection);
    return connection;
  };

  /**
   * Opens the client of the page. Signals to send wait in window.held while that is an array, and subscriptions to
   * signals in window.heldStreams. Counts the signals that did not reach the other client.
   */
  const openClient = (url, token) => {
    const connectionParams = { token };
    const client = createClient({ url: url.replace('http', 'ws') + '/graphql', lazy: false, connectionParams });
    const isUnreachable = ({ extensions }) => extensions.code === 'UNREACHABLE';
    const subscribe = (payload, sink) => {
      const next = (result) => {
        if (result.errors?.some(isUnreachable)) window.unreachableCount++;
        sink.next(result);
      };
      const start = () => client.subscribe(payload, { ...sink, next });
      const isSignal = payload.variables?.content !== undefined;
      const held = isSignal ? window.held : payload.query.includes('signals') ? window.heldStreams : undefined;
      if (held === undefined) return start();
      held.push(start);
      return () => undefined;
    };
    return { ...client, subscribe };
  };
  window.unreachableCount = 0;
  window.openHeldStreams = () => {
    for (const open of window.heldStreams) open();
  };
  window.sendHeld = () => {
    const { held } = window;
    window.held = undefined;
    for (const send of held) send();
  };

  window.errors = [];
  window.connections = {};

  /** Keeps the participant in its call. */
  window.stayInCall = ({ url, token, ...variables }) => {
    window.client ??= openClient(url, token);
    window.client.subscribe({ query: CALL_EVENTS, variables }, { next() {}, error() {}, complete() {} });
  };

  /** Connects with another account: by a snippet of the documentation, or by connectCall with the options. */
  window.joinByGraphql = async ({ url, token, iceServers, snippet, ...options }) => {
    const connection = (window.connection = await openConnection(iceServers));
    const client = (window.client ??= openClient(url, token));
    const { participantId, otherParticipantId } = options;
    window.connections[otherParticipantId] = connection;
    if (snippet === undefined)
      window.call = connectCall({
        ...options,
        client,
        connection,
        onHangUp: () => (window.isOver = true),
        onError: (error) => window.errors.push(String(error.message ?? JSON.stringify(error))),
      });
    else {
      const scope = { connectCall, client, connection, participantId, otherParticipantId };
      window.call = new Function(...Object.keys(scope), snippet + 'return call;')(...Object.values(scope));
    }
  };

  window.addMedia = () => addMedia(window.connection);

  window.joinBySocketIo = async ({ url, token, iceServers, userId, calls, losesFirstOffer }) => {
    const connection = (window.connection = await openConnection(iceServers));
    const socket = (window.socket = io(url, { transports: ['websocket'] }));
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

  /** Frames that were decoded of each video, and the kinds of the used candidates. */
  window.readStats = async (connection = window.connection) => {
    const stats = [...(await connection.getStats()).values()];
    const transport = stats.find(({ type }) => type === 'transport');
    const pair = stats.find(({ id }) => id === transport?.selectedCandidatePairId);
    const kindOf = (id) => stats.find((entry) => entry.id === id)?.candidateType;
    return {
      frames: stats
        .filter(({ type, kind }) => type === 'inbound-rtp' && kind === 'video')
        .map(({ framesDecoded }) => framesDecoded),
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
