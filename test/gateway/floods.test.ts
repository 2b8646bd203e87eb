import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createDataFolder } from '../harness/data-folder.ts';
import { logIn } from '../harness/demo-server.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';

// Floods by clients without a login, against a server process: the tests check its memory, and that it still serves others.

const MEGABYTE = 1024 * 1024;
/** Resident memory, garbage included, that an attack may take. Without limits, each of these attacks took hundreds of megabytes. */
const MAX_MEMORY_GROWTH = 250 * MEGABYTE;

let url: string;
let token: string;
const stack = new AsyncDisposableStack();

/** Starts the server that is flooded from now on. */
async function start(settings: Readonly<Record<string, string>>): Promise<void> {
  const folder = stack.use(await createDataFolder());
  const env = { ...PROGRAM_ENV, PORT: '0', HOST: '127.0.0.1', DATA_DIR: folder.path, LOG_LEVEL: 'error' };
  const program = stack.use(startProgram(SERVER_COMMAND, { ...env, ...settings }));
  url = await waitUntilListening(program.child);
  token = await logIn(url);
}

beforeAll(() => start({}));

afterAll(() => stack.disposeAsync());

async function readMemory(): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (.*)$/m.exec(text)?.[1]);
}

/** Runs an attack, and checks that memory is bounded while it lasts, and that an account is served. */
async function expectHarmless(attack: () => Promise<readonly (Socket | WebSocket)[]>): Promise<void> {
  await using honest = await openGraphqlSocket(url, { token });
  const memoryBefore = await readMemory();
  const sockets = await attack();
  for (const id of ['1', '2', '3']) {
    honest.send({ id, type: 'subscribe', payload: { query: '{ me { __typename } }' } });
    expect(await honest.nextOf('next')).toMatchObject({ payload: { data: { me: { __typename: 'User' } } } });
  }
  expect((await readMemory()) - memoryBefore).toBeLessThan(MAX_MEMORY_GROWTH);
  for (const socket of sockets)
    if (socket instanceof WebSocket) socket.terminate();
    else socket.destroy();
}

async function openSocket(path: string, protocol?: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, protocol);
  socket.on('error', () => undefined);
  await once(socket, 'open');
  return socket;
}

async function openAnonymous(): Promise<WebSocket> {
  const socket = await openSocket('/graphql', 'graphql-transport-ws');
  socket.send('{"type":"connection_init"}');
  await once(socket, 'message');
  return socket;
}

const repeat = <Result>(count: number, open: () => Promise<Result>): Promise<Result[]> =>
  Promise.all(Array.from({ length: count }, open));

const LOGIN =
  'mutation($password: String!) { login(email: "no@example.com", password: $password) { token } }';

test(
  'operations with large variables wait at the client while others of it are in progress',
  { timeout: 180_000 },
  () =>
    expectHarmless(() =>
      repeat(5, async () => {
        const socket = await openAnonymous();
        const variables = { password: 'x'.repeat(900_000) };
        for (let id = 0; id < 80; id += 1)
          socket.send(
            JSON.stringify({ id: String(id), type: 'subscribe', payload: { query: LOGIN, variables } }),
          );
        return socket;
      }),
    ),
);

test('operations of clients that do not read wait at the client', () =>
  expectHarmless(() =>
    repeat(10, async () => {
      const socket = await openAnonymous();
      socket.pause();
      for (let id = 0; id < 3_000; id += 1)
        socket.send(
          JSON.stringify({ id: String(id), type: 'subscribe', payload: { query: '{ __typename }' } }),
        );
      return socket;
    }),
  ));

test('pings of many clients are read in turns', () =>
  expectHarmless(() =>
    repeat(20, async () => {
      const socket = await openAnonymous();
      for (let count = 0; count < 5_000; count += 1) socket.ping();
      return socket;
    }),
  ));

test('legacy events of many clients are handled in turns', () =>
  expectHarmless(() =>
    repeat(20, async () => {
      const socket = await openSocket('/socket.io/?EIO=4&transport=websocket');
      socket.send('40');
      for (let count = 0; count < 3_000; count += 1) socket.send('42["webrtc_stun_info"]');
      return socket;
    }),
  ));

const openRaw = async (head: string, bytes: number): Promise<Socket> => {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(`${head} HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: ${bytes + 1}\r\n`);
  socket.write('Content-Type: application/json\r\n\r\n');
  await Promise.race([
    new Promise((resolve) => socket.write('x'.repeat(bytes), resolve)),
    new Promise((resolve) => socket.once('close', resolve)),
  ]);
  return socket;
};

const openConnected = async (): Promise<WebSocket> => (await openPacketSocket(url, 4)).socket;

const openDisconnected = async (): Promise<WebSocket> => {
  const connection = await openPacketSocket(url, 4);
  connection.emit('disconnect');
  await connection.next('41');
  return connection.socket;
};

test('values that are larger in memory than in their JSON are bounded in all', () =>
  expectHarmless(() =>
    repeat(500, async () => {
      const { hostname, port } = new URL(url);
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      const login = LOGIN.replace('no@', `${String(socket.localPort)}@`);
      const body = `{"query":"${login.replaceAll('"', '\\"')}","variables":{"password":"","a":[${'{},'.repeat(19_000)}{}]}}`;
      socket.write(`POST /graphql HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: ${body.length}\r\n`);
      socket.write(`Content-Type: application/json\r\n\r\n${body}`);
      return socket;
    }),
  ));

// With rate limits, so many bytes of anonymous clients would take minutes.
describe('without rate limits', () => {
  beforeAll(() => start({ RATE_LIMITS: 'off' }));

  test('bodies that do not end are bounded in all', () =>
    expectHarmless(() => repeat(300, () => openRaw('POST /graphql', 1_000_000))));

  test('polling requests that do not end are bounded in all', () =>
    expectHarmless(() => repeat(100, () => openRaw('POST /socket.io/?EIO=4&transport=polling', 4_000_000))));

  test('fragments of messages that do not end are bounded in all', () =>
    expectHarmless(() =>
      repeat(300, async () => {
        const socket = await openAnonymous();
        await new Promise((resolve) => socket.send('x'.repeat(1_000_000), { fin: false }, resolve));
        return socket;
      }),
    ));

  test.for([
    ['before the connect', () => openSocket('/socket.io/?EIO=4&transport=websocket')],
    ['of a connected client', openConnected],
    ['after a disconnect', openDisconnected],
  ] as const)('attachments that do not end are bounded in all: %s', ([, open]) =>
    expectHarmless(() =>
      repeat(30, async () => {
        const socket = await open();
        socket.send('4510-["message",{"a":{"_placeholder":true,"num":0}}]');
        for (let count = 1; count < 9; count += 1) socket.send(Buffer.alloc(1_600_000));
        await new Promise((resolve) => socket.send(Buffer.alloc(1_600_000), resolve));
        return socket;
      }),
    ),
  );
});
