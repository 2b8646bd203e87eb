import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  base,
  flood,
  graphql,
  hold,
  host,
  LOGIN,
  loop,
  agent,
  openLegacy,
  openUnread,
  openWebSocket,
  post,
  range,
  signUp,
  subscribe,
  text,
} from './attack-tools.ts';
import type { Attacks } from './attack-tools.ts';

/** The largest pages and files that are served to everyone. */
const DOCUMENTS = [
  '/CHANGELOG.md',
  '/schema.graphql',
  '/docs/performance.md',
  '/graphiql/vendor/graphiql.js',
  '/',
];

/** Attacks without an account, by name. */
export const STRANGER_ATTACKS: Attacks = {
  'unread-pages': () =>
    hold(20, () =>
      openUnread(`GET /graphql HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\n\r\n`.repeat(90)),
    ),
  'unread-documents': () =>
    hold(200, (index) =>
      openUnread(`GET ${DOCUMENTS[index % DOCUMENTS.length]} HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(90)),
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
  'forwarded-guesses': () =>
    loop(130, (index, round) =>
      post(graphql(LOGIN, { email: `nobody${index}-${round}@example.com`, password: 'a wrong password' }), {
        'x-forwarded-for': `10.${round % 250}.${index}.1`,
      }),
    ),
  'varied-guesses': () =>
    loop(130, (index, round) =>
      post(
        graphql(LOGIN, { email: 'honest@example.com', password: `a wrong password ${index} ${round}` }),
        {},
        '/graphql',
        `127.2.${round % 250}.${index + 1}`,
      ),
    ),
};
