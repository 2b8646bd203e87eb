import type { LegacyIo, LegacySocket } from '../../../clients/load.ts';
import type { ClientHandle, ClientKind, ClientListener, ClientOptions, Frame } from '../client.ts';
import { fromBuffers, toBuffers } from './binary.ts';

/** The disconnect reasons of socket.io-client, in any version. */
export const DISCONNECT_REASONS = {
  server: 'io server disconnect',
  network: /^transport (close|error)$/,
};

/** Creates the kind of client that is a version of socket.io-client under Node. */
export function createNodeClientKind(version: string, io: LegacyIo): ClientKind {
  return {
    name: `socket.io-client ${version}`,
    disconnectReasons: DISCONNECT_REASONS,
    encodesTwice: version.startsWith('1.0.'),
    // engine.io-client 1.3 closes without its buffer, which has what was sent during a request or, over a WebSocket, in
    // the turn of the event loop after another frame: for example after a heartbeat.
    dropsOnClose: version.startsWith('1.0.') ? ['polling', 'websocket', 'upgrade'] : [],
    losesBinary: /^1\.[0-3]\.[0-6]$/.test(version),
    open: (options, onEvent) => openNodeClient(io, options, onEvent),
  };
}

function openNodeClient(io: LegacyIo, options: ClientOptions, onEvent: ClientListener): ClientHandle {
  const { url, transport, reconnection, framesOnConnect, channels } = options;
  const socket = io(url, {
    transports: transport === 'upgrade' ? ['polling', 'websocket'] : [transport],
    forceNew: true,
    reconnection,
    reconnectionDelay: 10,
    reconnectionDelayMax: 20,
  });
  for (const channel of channels) {
    socket.on(channel, (...args) => {
      // Clients of 1.x emit an `error` of their own when the network fails.
      if (args[0] instanceof Error) return;
      onEvent({ type: 'frame', frame: [channel, ...args.map(fromBuffers)] });
    });
  }
  const emit = ([channel, ...args]: Frame) => socket.emit(channel, ...args.map(toBuffers));
  socket.on('connect', () => {
    forwardEngineEvents(socket, onEvent);
    onEvent({ type: 'connect', transport: socket.io.engine.transport.name });
    for (const frame of framesOnConnect) emit(frame);
  });
  socket.on('disconnect', (reason) => onEvent({ type: 'disconnect', reason: String(reason) }));
  return {
    emit(frame, id) {
      if (id === undefined) emit(frame);
      else emit([...frame, (...args: unknown[]) => onEvent({ type: 'acknowledgement', id, args })]);
    },
    close: () => void socket.close(),
  };
}

/** Forwards upgrades and heartbeats. Each connection has its own engine. Either side may ping. */
function forwardEngineEvents({ io: { engine } }: LegacySocket, onEvent: ClientListener): void {
  engine.on('upgrade', () => onEvent({ type: 'upgrade' }));
  engine.on('packet', (packet) => {
    const { type } = packet as { type: string };
    if (type === 'ping' || type === 'pong') onEvent({ type: 'heartbeat' });
  });
}
