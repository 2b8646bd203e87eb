import { expect, test } from 'vitest';
import { createReceiveQueue } from '../../src/testing/receive-queue.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { clientVersions, loadClient } from '../clients/load.ts';
import type { ClientVersion, LegacyOptions, LegacySocket } from '../clients/load.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';

// What an app writes while its network is cut, with the real libraries: those from 2.1 on send it before `connect`.

const textsOf = async (reader: TestAccount, id: string): Promise<string[]> => {
  const { conversation } = await reader.graphql.run<{
    conversation: { messages: { nodes: { text: string }[] } };
  }>('query ($id: ID!) { conversation(id: $id) { messages(last: 100) { nodes { text } } } }', { id });
  return conversation.messages.nodes.map(({ text }) => text);
};

async function offline() {
  const stack = new AsyncDisposableStack();
  const app = stack.use(await startTestApp());
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const relay = stack.use(await openTcpProxy(Number(new URL(app.url).port)));
  const connect = (version: ClientVersion, options: LegacyOptions = {}): LegacySocket => {
    const socket = loadClient(version)(`http://127.0.0.1:${relay.port}`, {
      transports: ['websocket'],
      forceNew: true,
      reconnectionDelay: 20,
      reconnectionDelayMax: 40,
      ...options,
    });
    stack.defer(() => void socket.close());
    return socket;
  };
  /** Cuts the network, and resolves when the client knows. */
  const cut = (socket: LegacySocket): Promise<void> =>
    new Promise((resolve) => {
      socket.once('disconnect', () => resolve());
      relay.refuse();
    });
  const dispose = () => stack.disposeAsync();
  return { app, ann, bob, conversation, relay, connect, cut, [Symbol.asyncDispose]: dispose };
}

function heardBy(socket: LegacySocket) {
  const inbox = createReceiveQueue<unknown>('frames');
  socket.on('success', (payload) => inbox.push(payload));
  socket.on('error', (payload) => inbox.push(`error: ${String(payload)}`));
  return inbox;
}

const sent = { received: true, message_id: expect.any(Number) };

test.for(clientVersions)('socket.io-client %s: messages written offline are stored once', async (version) => {
  await using stage = await offline();
  const { ann, bob, conversation, relay, connect, cut } = stage;
  const socket = connect(version);
  socket.on('connect', () => socket.emit('authenticate', { token: ann.token }));
  const heard = heardBy(socket);
  expect(await heard.next()).toBe('User authenticated');
  await cut(socket);
  socket.emit('join_conversation', { conversation_id: conversation.legacyId });
  socket.emit('writing', { conversation_id: conversation.legacyId, is_writing: true });
  const order: unknown[] = [];
  socket.on('success', (payload) => order.push(payload));
  const text = (text_message: string) => ({ conversation_id: conversation.legacyId, text_message });
  socket.emit('message', text('one'), () => order.push('acknowledged'));
  socket.emit('message', text('two'));
  socket.emit('leave_conversation', { conversation_id: conversation.legacyId });
  relay.accept();
  const answers = [
    'User authenticated',
    `Vous avez rejoins la conversation : conversation_${conversation.legacyId}`,
    'Writing sent',
    sent,
    sent,
    'Vous avez quitte la conversation',
  ];
  for (const answer of answers) expect(await heard.next()).toEqual(answer);
  expect(order).toEqual([...answers.slice(0, 4), 'acknowledged', ...answers.slice(4)]);
  expect(await textsOf(bob, conversation.id)).toEqual(['one', 'two']);
});

test.for(['auth', 'authenticate'] as const)(
  'a client that retries, and logs in by `%s`, stores each message written offline once',
  async (way) => {
    await using stage = await offline();
    const { ann, bob, conversation, relay, connect, cut } = stage;
    const login = way === 'auth' ? { auth: { token: ann.token } } : {};
    const socket = connect('4.8.4', { ...login, retries: 3, ackTimeout: 10_000 });
    // As every event of such a client, it waits until those before it are acknowledged.
    if (way === 'authenticate') socket.on('connect', () => socket.emit(way, { token: ann.token }));
    const heard = heardBy(socket);
    expect(await heard.next()).toBe('User authenticated');
    await cut(socket);
    const texts = ['one', 'two', 'three'];
    const acknowledged = texts.map(
      (text_message) =>
        new Promise((resolve) => {
          socket.emit('message', { conversation_id: conversation.legacyId, text_message }, resolve);
        }),
    );
    relay.accept();
    expect(await heard.next()).toBe('User authenticated');
    for (const _ of texts) expect(await heard.next()).toEqual(sent);
    expect(await Promise.all(acknowledged)).toEqual([null, null, null]);
    expect(await textsOf(bob, conversation.id)).toEqual(texts);
  },
);

const TOKEN_PLACES: Readonly<Record<string, (token: string) => LegacyOptions>> = {
  'query.token': (token) => ({ query: { token } }),
  'extraHeaders.Authorization': (token) => ({ extraHeaders: { Authorization: `Bearer ${token}` } }),
  'auth.token': (token) => ({ auth: { token } }),
};
const cases = Object.keys(TOKEN_PLACES).flatMap((place) =>
  (['2.0.4', '2.5.0', '3.1.3', '4.0.1', '4.8.4'] as const)
    .filter((version) => place !== 'auth.token' || version >= '3')
    .flatMap((version) => (['polling', 'websocket'] as const).map((via) => [version, place, via] as const)),
);

test.for(cases)('socket.io-client %s: a token in %s, over %s, logs in', async ([version, place, via]) => {
  await using stage = await offline();
  const { ann, conversation, connect } = stage;
  const options = { ...TOKEN_PLACES[place]?.(ann.token), transports: [via] };
  const heard = heardBy(connect(version, options).emit('join_conversation', idOf(conversation)));
  expect(await heard.next()).toBe('User authenticated');
  expect(await heard.next()).toMatch(/^Vous avez rejoins/);
});

test.for(cases)(
  'socket.io-client %s: after a bad token in %s, over %s, the app logs in',
  async ([version, place, via]) => {
    await using stage = await offline();
    const { ann, connect } = stage;
    const socket = connect(version, { ...TOKEN_PLACES[place]?.('a.b.c'), transports: [via] });
    const heard = heardBy(socket);
    // Apps of protocol 3 may carry the token of something else.
    if (version >= '3') expect(await heard.next()).toBe('error: User not found');
    socket.emit('authenticate', { token: ann.token });
    expect(await heard.next()).toBe('User authenticated');
  },
);

const idOf = ({ legacyId }: { readonly legacyId: number }) => ({ conversation_id: legacyId });
