import type { LegacyIo, LegacySocket } from '../../../clients/load.ts';
import type { ClientKind, ClientOptions, Emission, Port, Report } from '../client.ts';
import { fromBuffers, toBuffers } from './binary.ts';

/** What socket.io-client, of any version, says when a connection is over. */
export const REASONS = { server: 'io server disconnect', network: /^transport (close|error)$/ };

/** A generation of socket.io-client under Node. */
export function nodeClient(version: string, io: LegacyIo): ClientKind {
  return {
    name: `socket.io-client ${version}`,
    reasons: REASONS,
    encodesTwice: version.startsWith('1.0.'),
    losesBinary: /^1\.[0-3]\.[0-6]$/.test(version),
    open: (options, report) => open(io, options, report),
  };
}

function open(io: LegacyIo, options: ClientOptions, report: (report: Report) => void): Port {
  const { url, transport, reconnection, greeting, channels } = options;
  const socket = io(url, {
    transports: transport === 'upgrade' ? ['polling', 'websocket'] : [transport],
    forceNew: true,
    reconnection,
    reconnectionDelay: 10,
    reconnectionDelayMax: 20,
  });
  for (const channel of channels) {
    socket.on(channel, (...args) => {
      // Clients of 1.x have an `error` of their own, when the network fails.
      if (args[0] instanceof Error) return;
      report({ type: 'frame', frame: [channel, ...args.map(fromBuffers)] });
    });
  }
  const emit = ([channel, ...args]: Emission) => socket.emit(channel, ...args.map(toBuffers));
  socket.on('connect', () => {
    watchEngine(socket, report);
    report({ type: 'connect', transport: socket.io.engine.transport.name });
    for (const emission of greeting) emit(emission);
  });
  socket.on('disconnect', (reason) => report({ type: 'disconnect', reason: String(reason) }));
  return {
    emit(emission, id) {
      if (id === undefined) emit(emission);
      else emit([...emission, (...args: unknown[]) => report({ type: 'acknowledgement', id, args })]);
    },
    close: () => void socket.close(),
  };
}

/** Each connection has an engine of its own. From 4.0 on the server asks, before that the client does. */
function watchEngine({ io: { engine } }: LegacySocket, report: (report: Report) => void): void {
  engine.on('upgrade', () => report({ type: 'upgrade' }));
  engine.on('packet', (packet) => {
    const { type } = packet as { type: string };
    if (type === 'ping' || type === 'pong') report({ type: 'heartbeat' });
  });
}
