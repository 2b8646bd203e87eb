// A process that attacks a server until it is killed: `node bench/attacker.ts NAME URL [TOKEN...]`.
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

const [name = '', base = '', ...tokens] = process.argv.slice(2);
const { hostname, port, host } = new URL(base === '' ? 'http://127.0.0.1' : base);
const text = (length: number): string => 'x'.repeat(length);
const range = (length: number): number[] => Array.from({ length }, (_, index) => index);

/** Runs a task in parallel loops. Failed attempts are what a defence intends: they only slow their loop down. */
function loop(concurrency: number, task: (index: number, round: number) => Promise<unknown>): void {
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
async function openUnread(head: string): Promise<Socket> {
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.pause();
  socket.write(head);
  return socket;
}

/** Keeps connections open, replaced when the server closes them. */
const hold = (count: number, open: (index: number, round: number) => Promise<Socket | WebSocket>): void =>
  loop(count, async (index, round) => {
    const connection = await open(index, round);
    await once(connection, 'close');
    await sleep(50);
  });

const agent = new Agent({ keepAlive: true, maxSockets: Infinity });

async function post(
  body: string,
  headers: Readonly<Record<string, string>> = {},
  path = '/graphql',
): Promise<string> {
  const request = httpRequest(`${base}${path}`, {
    method: 'POST',
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

const bearer = (index: number): Record<string, string> => ({
  authorization: `Bearer ${tokens[index % tokens.length] ?? ''}`,
});
const graphql = (query: string, variables: object = {}): string => JSON.stringify({ query, variables });

async function openWebSocket(payload: object = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${host}/graphql`, 'graphql-transport-ws');
  socket.on('error', () => undefined);
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload }));
  await once(socket, 'message');
  return socket;
}

async function openLegacy(): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${host}/socket.io/?EIO=4&transport=websocket`);
  socket.on('error', () => undefined);
  await once(socket, 'open');
  socket.send('40');
  return socket;
}

const subscribe = (id: number, query: string, variables: object = {}): string =>
  JSON.stringify({ id: String(id), type: 'subscribe', payload: { query, variables } });

/** Writes frames as fast as the connection takes them, without reading. */
function flood(socket: WebSocket, frame: (index: number) => string): void {
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

const LOGIN =
  'mutation($email: String!, $password: String!) { login(email: $email, password: $password) { token } }';
const SIGN_UP = 'mutation($input: CreateAccountInput!) { createAccount(input: $input) { token } }';
const aliases = (count: number, field: string): string =>
  `{ ${range(count)
    .map((index) => `a${index}: ${field}`)
    .join(' ')} }`;

const signUp = (email: string): string =>
  graphql(SIGN_UP, { input: { email, password: 'a long password', firstName: 'A', lastName: 'B' } });

/** Attacks by name. */
const ATTACKS: Readonly<Record<string, () => void | Promise<void>>> = {
  'unread-pages': () =>
    hold(20, () =>
      openUnread(`GET /graphql HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\n\r\n`.repeat(90)),
    ),
  'http-operations': () => loop(200, () => post(graphql('{ __typename }'))),
  'http-connections': () =>
    loop(50, async () => {
      const socket = await openUnread(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await sleep(5);
      socket.destroy();
    }),
  'stalled-bodies': () =>
    hold(600, () =>
      openUnread(
        `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n${text(999_000)}`,
      ),
    ),
  'stalled-polls': () =>
    hold(300, () =>
      openUnread(
        `POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 900000\r\n\r\n${text(890_000)}`,
      ),
    ),
  documents: () =>
    loop(30, (index, round) => {
      const spreads = range(60).map((at) => `...f${at}`);
      const fragments = range(60).map(
        (at) =>
          `fragment f${at} on Query { a${at}: __typename webrtc { credentials { username } } ${spreads[at + 1] ?? ''} }`,
      );
      return post(graphql(`query q${index}_${round} { ${spreads.join(' ')} } ${fragments.join(' ')}`));
    }),
  guesses: () =>
    loop(130, (index, round) =>
      post(graphql(LOGIN, { email: `nobody${index}-${round}@example.com`, password: 'a wrong password' })),
    ),
  'guesses-of-one': () =>
    loop(130, () => post(graphql(LOGIN, { email: 'honest@example.com', password: 'a wrong password' }))),
  'sign-ups': () => loop(130, (index, round) => post(signUp(`new${index}-${round}@example.com`))),
  'websocket-operations': () =>
    hold(20, async () => {
      const socket = await openWebSocket();
      flood(socket, (index) => subscribe(index, '{ __typename }'));
      return socket;
    }),
  'websocket-variables': () =>
    hold(20, async () => {
      const socket = await openWebSocket();
      flood(socket, (index) => subscribe(index, LOGIN, { email: 'x@example.com', password: text(900_000) }));
      return socket;
    }),
  'websocket-fragments': () =>
    hold(300, async () => {
      const socket = await openWebSocket();
      socket.send(text(900_000), { fin: false });
      return socket;
    }),
  'idle-websockets': () => hold(6_000, () => openWebSocket()),
  'legacy-events': () =>
    hold(20, async () => {
      const socket = await openLegacy();
      flood(socket, () => '42["webrtc_stun_info"]');
      return socket;
    }),
  'legacy-logins': () =>
    hold(20, async () => {
      const socket = await openLegacy();
      flood(socket, (index) => `42["authenticate",{"token":"rubbish ${index}"}]`);
      return socket;
    }),
  'legacy-attachments': () =>
    hold(100, async () => {
      const socket = await openLegacy();
      socket.send('4520-["message",{"a":{"_placeholder":true,"num":0}}]');
      for (const _ of range(19)) socket.send(Buffer.alloc(900_000));
      return socket;
    }),
  'legacy-handshakes': () =>
    loop(100, async () => {
      const request = httpRequest(`${base}/socket.io/?EIO=4&transport=polling`, { agent });
      request.end();
      const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer>];
      for await (const chunk of response) void chunk;
    }),
  'queries-me': () => loop(12, (index) => post(graphql(aliases(781, 'me { __typename }')), bearer(index))),
  'queries-at-limit': () =>
    loop(48, (index) => post(graphql(aliases(140, 'me { __typename }')), bearer(index))),
  'queries-nodes': () =>
    loop(12, (index) => post(graphql(aliases(90, 'node(id: "User:1") { __typename id }')), bearer(index))),
  'queries-circles': () =>
    loop(12, (index) =>
      post(
        graphql(
          aliases(
            30,
            'circles(first: 100) { edges { node { id eventCursor members(first: 100) { edges { node { id } } } } } }',
          ),
        ),
        bearer(index),
      ),
    ),
  signals: async () => {
    for (let round = 0; ; round += 1) {
      const socket = await openWebSocket(bearer(round));
      for (const index of range(200)) socket.send(subscribe(index, 'subscription { signals { content } }'));
      await sleep(300);
      socket.pause();
      const { data } = JSON.parse(
        (await post(graphql('{ me { id } }'), bearer(round))).replace(/^\d+ /, ''),
      ) as {
        data?: { me?: { id: string } };
      };
      const SEND =
        'mutation($id: ID!, $content: JSON!) { sendSignal(to: { userId: $id }, content: $content) }';
      await Promise.all(
        range(60).map(() => post(graphql(SEND, { id: data?.me?.id, content: text(250_000) }), bearer(round))),
      );
      await sleep(500);
      socket.terminate();
    }
  },
  subscriptions: () =>
    hold(40, async (index) => {
      const socket = await openWebSocket(bearer(index));
      flood(socket, (id) => subscribe(id, `subscription s${id} { inboxEvents { __typename } }`));
      return socket;
    }),
  circles: () =>
    loop(40, (index, round) =>
      post(graphql(`mutation { createCircle(name: "${index} ${round}") { id } }`), bearer(index)),
    ),
  'forwarded-guesses': () =>
    loop(130, (index, round) =>
      post(graphql(LOGIN, { email: `nobody${index}-${round}@example.com`, password: 'a wrong password' }), {
        'x-forwarded-for': `10.${round % 250}.${index}.1`,
      }),
    ),
};

// Ends with the process that started it.
process.once('disconnect', () => process.exit());

if (name === '--list') process.stdout.write(`${Object.keys(ATTACKS).join('\n')}\n`);
else await ATTACKS[name]?.();
