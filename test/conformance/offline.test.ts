import { expect, test } from 'vitest';
import { createReceiveQueue } from '../../src/testing/receive-queue.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { clientVersions, loadClient } from '../clients/load.ts';
import type { ClientVersion, LegacyOptions, LegacySocket } from '../clients/load.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';

// Events that an app emits while its network is down, with the real libraries. Those since 2.1 send them before
// `connect`.

const readTexts = async (account: TestAccount, id: string): Promise<string[]> => {
  const { conversation } = await account.graphql.run<{
    conversation: { messages: { nodes: { text: string }[] } };
  }>('query ($id: ID!) { conversation(id: $id) { messages(last: 100) { nodes { text } } } }', { id });
  return conversation.messages.nodes.map(({ text }) => text);
};

async function createFixture() {
  const stack = new AsyncDisposableStack();
  const app = stack.use(await startTestApp());
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const proxy = stack.use(await openTcpProxy(Number(new URL(app.url).port)));
  const connect = (version: ClientVersion, options: LegacyOptions = {}): LegacySocket => {
    const socket = loadClient(version)(`http://127.0.0.1:${proxy.port}`, {
      transports: ['websocket'],
      forceNew: true,
      reconnectionDelay: 20,
      reconnectionDelayMax: 40,
      ...options,
    });
    stack.defer(() => void socket.close());
    return socket;
  };
  /** Disconnects the network, and resolves at the client's `disconnect` event. */
  const disconnect = (socket: LegacySocket): Promise<void> =>
    new Promise((resolve) => {
      socket.once('disconnect', () => resolve());
      proxy.refuse();
    });
  const dispose = () => stack.disposeAsync();
  return { app, ann, bob, conversation, proxy, connect, disconnect, [Symbol.asyncDispose]: dispose };
}

function listenForReplies(socket: LegacySocket) {
  const replies = createReceiveQueue<unknown>('replies');
  socket.on('success', (payload) => replies.push(payload));
  socket.on('error', (payload) => replies.push(`error: ${String(payload)}`));
  return replies;
}

const messageSent = { received: true, message_id: expect.any(Number) };

test.for(clientVersions)('socket.io-client %s: messages written offline are stored once', async (version) => {
  await using fixture = await createFixture();
  const { ann, bob, conversation, proxy, connect, disconnect } = fixture;
  const socket = connect(version);
  socket.on('connect', () => socket.emit('authenticate', { token: ann.token }));
  const replies = listenForReplies(socket);
  expect(await replies.next()).toBe('User authenticated');
  await disconnect(socket);
  socket.emit('join_conversation', { conversation_id: conversation.legacyId });
  socket.emit('writing', { conversation_id: conversation.legacyId, is_writing: true });
  const received: unknown[] = [];
  socket.on('success', (payload) => received.push(payload));
  const messageOf = (text_message: string) => ({ conversation_id: conversation.legacyId, text_message });
  socket.emit('message', messageOf('one'), () => received.push('acknowledged'));
  socket.emit('message', messageOf('two'));
  socket.emit('leave_conversation', { conversation_id: conversation.legacyId });
  proxy.accept();
  const expected = [
    'User authenticated',
    `Vous avez rejoins la conversation : conversation_${conversation.legacyId}`,
    'Writing sent',
    messageSent,
    messageSent,
    'Vous avez quitte la conversation',
  ];
  for (const reply of expected) expect(await replies.next()).toEqual(reply);
  expect(received).toEqual([...expected.slice(0, 4), 'acknowledged', ...expected.slice(4)]);
  expect(await readTexts(bob, conversation.id)).toEqual(['one', 'two']);
});

test.for(['auth', 'authenticate'] as const)(
  'a client that retries, and logs in by `%s`, stores each message written offline once',
  async (method) => {
    await using fixture = await createFixture();
    const { ann, bob, conversation, proxy, connect, disconnect } = fixture;
    const login = method === 'auth' ? { auth: { token: ann.token } } : {};
    const socket = connect('4.8.4', { ...login, retries: 3, ackTimeout: 10_000 });
    // Like every event of a client that retries, it is sent after those before it are acknowledged.
    if (method === 'authenticate') socket.on('connect', () => socket.emit(method, { token: ann.token }));
    const replies = listenForReplies(socket);
    expect(await replies.next()).toBe('User authenticated');
    await disconnect(socket);
    const texts = ['one', 'two', 'three'];
    const acknowledgements = texts.map(
      (text_message) =>
        new Promise((resolve) => {
          socket.emit('message', { conversation_id: conversation.legacyId, text_message }, resolve);
        }),
    );
    proxy.accept();
    expect(await replies.next()).toBe('User authenticated');
    for (const _ of texts) expect(await replies.next()).toEqual(messageSent);
    expect(await Promise.all(acknowledgements)).toEqual([null, null, null]);
    expect(await readTexts(bob, conversation.id)).toEqual(texts);
  },
);

const TOKEN_OPTIONS: Readonly<Record<string, (token: string) => LegacyOptions>> = {
  'query.token': (token) => ({ query: { token } }),
  'extraHeaders.Authorization': (token) => ({ extraHeaders: { Authorization: `Bearer ${token}` } }),
  'auth.token': (token) => ({ auth: { token } }),
};
const cases = Object.keys(TOKEN_OPTIONS).flatMap((option) =>
  (['2.0.4', '2.5.0', '3.1.3', '4.0.1', '4.8.4'] as const)
    .filter((version) => option !== 'auth.token' || version >= '3')
    .flatMap((version) =>
      (['polling', 'websocket'] as const).map((transport) => [version, option, transport] as const),
    ),
);

test.for(cases)(
  'socket.io-client %s: a token in %s, over %s, logs in',
  async ([version, option, transport]) => {
    await using fixture = await createFixture();
    const { ann, conversation, connect } = fixture;
    const options = { ...TOKEN_OPTIONS[option]?.(ann.token), transports: [transport] };
    const replies = listenForReplies(
      connect(version, options).emit('join_conversation', conversationRefOf(conversation)),
    );
    expect(await replies.next()).toBe('User authenticated');
    expect(await replies.next()).toMatch(/^Vous avez rejoins/);
  },
);

test.for(cases)(
  'socket.io-client %s: after a bad token in %s, over %s, the app logs in',
  async ([version, option, transport]) => {
    await using fixture = await createFixture();
    const { ann, connect } = fixture;
    const socket = connect(version, { ...TOKEN_OPTIONS[option]?.('a.b.c'), transports: [transport] });
    const replies = listenForReplies(socket);
    // On protocol 3 the token may be meant for another service, so its rejection is not sent.
    if (version >= '3') expect(await replies.next()).toBe('error: User not found');
    socket.emit('authenticate', { token: ann.token });
    expect(await replies.next()).toBe('User authenticated');
  },
);

const conversationRefOf = ({ legacyId }: { readonly legacyId: number }) => ({ conversation_id: legacyId });
