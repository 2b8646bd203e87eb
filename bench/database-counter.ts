import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** A proxy of a PostgreSQL server that counts. */
export interface DatabaseCounter extends AsyncDisposable {
  /** The URL to connect to instead. */
  readonly url: string;
  /** Returns the counts so far. */
  read(): Counts;
}

export interface Counts {
  /** Times that a client sends after everything that it sent was answered: round trips, however many statements they carry. */
  readonly turns: number;
  /** Executed statements. */
  readonly statements: number;
}

/** Types of the messages of PostgreSQL's protocol 3. */
const [QUERY, EXECUTE, SYNC, READY] = ['Q', 'E', 'S', 'Z'].map((type) => type.charCodeAt(0));

/** Opens a proxy in front of the server at a URL. */
export async function openDatabaseCounter(serverUrl: string): Promise<DatabaseCounter> {
  const target = new URL(serverUrl);
  const sockets = new Set<Socket>();
  let [turns, statements] = [0, 0];
  const track = (socket: Socket): void => {
    socket.setNoDelay(true);
    sockets.add(socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket)));
  };
  const server = createServer((client) => {
    const database = connect(Number(target.port), target.hostname);
    track(client);
    track(database);
    let unanswered = 0;
    const onRequest = createMessageReader(
      (type) => {
        if (type !== QUERY && type !== EXECUTE && type !== SYNC) return;
        if (type !== SYNC) statements += 1;
        if (type === EXECUTE) return;
        if (unanswered === 0) turns += 1;
        unanswered += 1;
      },
      { hasStartup: true },
    );
    const onResponse = createMessageReader(
      (type) => {
        if (type === READY) unanswered = Math.max(0, unanswered - 1);
      },
      { hasStartup: false },
    );
    client.on('data', (chunk) => {
      onRequest(chunk);
      database.write(chunk);
    });
    database.on('data', (chunk) => {
      onResponse(chunk);
      client.write(chunk);
    });
    client.on('close', () => database.destroy());
    database.on('close', () => client.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(serverUrl);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    read: () => ({ turns, statements }),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Calls back with the type of each message in a stream, which a startup message without a type may precede. */
function createMessageReader(onMessage: (type: number) => void, { hasStartup }: { hasStartup: boolean }) {
  let isStartup = hasStartup;
  let rest: Buffer = Buffer.alloc(0);
  return (chunk: Buffer): void => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (;;) {
      const typeBytes = isStartup ? 0 : 1;
      if (rest.length < typeBytes + 4) return;
      const end = typeBytes + rest.readUInt32BE(typeBytes);
      if (rest.length < end) return;
      if (!isStartup) onMessage(rest[0] ?? 0);
      isStartup = false;
      rest = rest.subarray(end);
    }
  };
}
