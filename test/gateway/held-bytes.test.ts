import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Database } from '../../src/db/database.ts';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';
import { encodePayload, openPollingSession } from '../harness/engine-io.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';

// What a client makes the process hold is counted, and is released when its connection is destroyed in any state.

const KILOBYTE = 1024;

let database: Database;
let app: TestGateway;
let account: TestAccount;

beforeAll(async () => {
  database = await openTestDatabase();
  app = await startTestApp({ database });
  account = await app.createAccount();
});

afterAll(async () => {
  process.off('warning', onWarning);
  await app[Symbol.asyncDispose]();
});

/** Warnings that the process has printed: its output is JSON lines. */
const warnings: Error[] = [];
const onWarning = (warning: Error): void => void warnings.push(warning);
process.on('warning', onWarning);

afterEach(() => expect(warnings).toEqual([]));

/** Returns the counted bytes by direction and clients, without those that are 0. */
async function readHeldBytes(): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`${app.url}/metrics`)).text();
  const lines = text.matchAll(/^parley_held_bytes\{direction="(\w+)",clients="(\w+)"\} ([1-9]\d*)$/gm);
  return Object.fromEntries(
    Array.from(lines, ([, direction, clients, bytes]) => [`${direction} ${clients}`, Number(bytes)]),
  );
}

/** Makes every statement that reads accounts wait until it is disposed of. */
async function blockDatabase(): Promise<AsyncDisposable> {
  const [locked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const transaction = database.db.transaction().execute(async (trx) => {
    await sql`lock table users in access exclusive mode`.execute(trx);
    locked.resolve();
    await released.promise;
  });
  await locked.promise;
  return {
    async [Symbol.asyncDispose]() {
      released.resolve();
      await transaction;
    },
  };
}

/** The end of a connection that the test holds. */
interface Holder {
  destroy(): void;
}

const holderOf = (socket: WebSocket): Holder => ({ destroy: () => socket.terminate() });

async function sendRaw(...chunks: readonly (string | Buffer)[]): Promise<Socket> {
  const { hostname, port } = new URL(app.url);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  await once(socket, 'connect');
  for (const chunk of chunks) socket.write(chunk);
  return socket;
}

const headOf = (path: string, length: number, headers = ''): string =>
  `POST ${path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n${headers}\r\n`;

const openWebSocket = async (path: string, protocol?: string): Promise<WebSocket> => {
  const socket = new WebSocket(`${app.url.replace('http', 'ws')}${path}`, protocol);
  await once(socket, 'open');
  return socket;
};

/** Opens a WebSocket, and sends a frame of which only the start arrives. */
async function sendPartOfFrame(path: string, protocol?: string): Promise<Holder> {
  const socket = await openWebSocket(path, protocol);
  // A masked text frame of 100 KB.
  const head = Buffer.alloc(14);
  head.writeUInt16BE(0x81ff);
  head.writeBigUInt64BE(BigInt(100 * KILOBYTE), 2);
  const { _socket: stream } = socket as unknown as { _socket: Socket };
  stream.write(Buffer.concat([head, Buffer.alloc(50 * KILOBYTE)]));
  return holderOf(socket);
}

const LARGE_QUERY = `{ __schema { types { description fields { description args { description } } } } }`;
const LOGIN = 'mutation { login(email: "a@example.com", password: "correct horse") { token } }';
const PADDING = { variables: { padding: 'x'.repeat(100 * KILOBYTE) } };

interface State {
  /** Brings a connection into the state in which it holds bytes. */
  readonly open: () => Promise<Holder>;
  readonly counted: `${'inbound' | 'outbound'} ${'account' | 'anonymous'}`;
  /** Whether it waits for the database. */
  readonly isBlocked?: boolean;
  /** Whether what the client sent still runs after it has disconnected. */
  readonly runsOn?: boolean;
}

const STATES: Readonly<Record<string, State>> = {
  'a frame received in part': {
    counted: 'inbound anonymous',
    open: () => sendPartOfFrame('/graphql', 'graphql-transport-ws'),
  },
  'fragments of a message': {
    counted: 'inbound account',
    async open() {
      const { socket } = await openGraphqlSocket(app.url, { token: account.token });
      for (let count = 0; count < 3; count += 1) socket.send('x'.repeat(10 * KILOBYTE), { fin: false });
      return holderOf(socket);
    },
  },
  'an operation over a WebSocket': {
    counted: 'inbound anonymous',
    isBlocked: true,
    async open() {
      const { socket, send } = await openGraphqlSocket(app.url, {});
      send({ id: '1', type: 'subscribe', payload: { query: LOGIN, ...PADDING } });
      return holderOf(socket);
    },
  },
  'unread results of a WebSocket': {
    counted: 'outbound account',
    async open() {
      const { socket, send } = await openGraphqlSocket(app.url, { token: account.token });
      socket.pause();
      for (let id = 0; id < 300; id += 1)
        send({ id: String(id), type: 'subscribe', payload: { query: LARGE_QUERY } });
      return holderOf(socket);
    },
  },
  'a body received in part': {
    counted: 'inbound anonymous',
    open: () => sendRaw(headOf('/graphql', 100 * KILOBYTE), '{'),
  },
  'a body of an account received in part': {
    counted: 'inbound account',
    open: () =>
      sendRaw(headOf('/graphql', 100 * KILOBYTE, `Authorization: Bearer ${account.token}\r\n`), '{'),
  },
  'an upload received in part': {
    counted: 'inbound anonymous',
    open: () =>
      sendRaw(
        headOf('/graphql', 100 * KILOBYTE).replace('application/json', 'multipart/form-data; boundary=b'),
        `--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n${'x'.repeat(50 * KILOBYTE)}`,
      ),
  },
  'a chunked body received in part': {
    counted: 'inbound anonymous',
    open: () =>
      sendRaw(headOf('/graphql', 0).replace('Content-Length: 0', 'Transfer-Encoding: chunked'), '5\r\n{'),
  },
  'an operation over HTTP': {
    counted: 'inbound anonymous',
    isBlocked: true,
    open() {
      const body = JSON.stringify({ query: LOGIN, ...PADDING });
      return sendRaw(headOf('/graphql', body.length), body);
    },
  },
  'unread responses': {
    counted: 'outbound anonymous',
    async open() {
      const body = JSON.stringify({ query: LARGE_QUERY });
      const socket = await sendRaw();
      socket.pause();
      for (let count = 0; count < 90; count += 1) socket.write(headOf('/graphql', body.length) + body);
      return socket;
    },
  },
  'a legacy frame received in part': {
    counted: 'inbound anonymous',
    open: () => sendPartOfFrame('/socket.io/?EIO=3&transport=websocket'),
  },
  'attachments of a packet': {
    counted: 'inbound anonymous',
    async open() {
      const { socket } = await openPacketSocket(app.url, 4);
      socket.send('452-["message",{"_placeholder":true,"num":0}]');
      socket.send(Buffer.alloc(50 * KILOBYTE));
      return holderOf(socket);
    },
  },
  'queued events': {
    counted: 'inbound anonymous',
    isBlocked: true,
    runsOn: true,
    async open() {
      const { socket, emit } = await openPacketSocket(app.url, 4);
      for (let count = 0; count < 3; count += 1)
        emit('authenticate', { token: account.token, padding: 'x'.repeat(50 * KILOBYTE) });
      return holderOf(socket);
    },
  },
  'a polling request received in part': {
    counted: 'inbound anonymous',
    async open() {
      const { sid } = await openPollingSession(app.url, 'EIO=4');
      return sendRaw(headOf(`/socket.io/?EIO=4&transport=polling&sid=${sid}`, 100 * KILOBYTE), '4');
    },
  },
  'packets that are not polled': {
    counted: 'outbound anonymous',
    async open() {
      const session = await openPollingSession(app.url, 'EIO=4');
      await session.post('40');
      await session.poll();
      await session.post(encodePayload(Array<string>(450).fill('42["webrtc_stun_info"]')));
      return { destroy: () => void session.post('1') };
    },
  },
};

test.for(Object.entries(STATES))('%s', async ([, { open, counted, isBlocked = false, runsOn = false }]) => {
  await using stack = new AsyncDisposableStack();
  if (isBlocked) stack.use(await blockDatabase());
  const holder = await open();
  await expect.poll(readHeldBytes, { timeout: 10_000 }).toHaveProperty([counted]);
  holder.destroy();
  if (runsOn) await stack.disposeAsync();
  await expect.poll(readHeldBytes, { timeout: 10_000 }).toEqual({});
});
