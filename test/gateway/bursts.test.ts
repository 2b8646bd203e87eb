import { afterEach, expect, test, vi } from 'vitest';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import type { GraphqlSocket } from '../harness/graphql-socket.ts';
import { indexes } from '../harness/numbers.ts';
import { countWritesTo } from '../harness/tcp-writes.ts';

// What a subscriber is told in one turn of the event loop leaves in one write, in order with all else on its socket.

const BURST = 40;

afterEach(() => {
  vi.restoreAllMocks();
});

async function subscribe(socket: GraphqlSocket, id: string, conversationId: string): Promise<void> {
  const query = `subscription { conversationEvents(conversationId: "${conversationId}") { __typename ... on MessageSent { message { text } } } }`;
  socket.send({ id, type: 'subscribe', payload: { query } });
  await socket.next((frame) => frame['id'] === id);
}

const textOf = (frame: unknown): unknown =>
  (frame as { payload: { data: { conversationEvents: { message: { text: string } } } } }).payload.data
    .conversationEvents.message.text;

test('messages that commit together reach each subscriber in fewer writes than messages, in the order of the log', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  // The ids have different lengths, and the last two are equal.
  const sockets = [];
  for (const id of ['1', 'a "quoted" id', 'é', 'é']) {
    const socket = await openGraphqlSocket(app.url, { token: bob.token });
    await subscribe(socket, id, conversation.id);
    sockets.push({ id, socket, countWrites: countWritesTo(socket.socket) });
  }
  const sent = await Promise.all(indexes(BURST).map((n) => sendMessage(ann, conversation, String(n))));
  const idOf = (n: unknown) => sent[Number(n)]?.sendMessage.message.legacyId ?? 0;
  for (const { id, socket, countWrites } of sockets) {
    const texts = [];
    for (let n = 0; n < BURST; n += 1) {
      const frame = await socket.next();
      expect(frame).toMatchObject({ id, type: 'next' });
      texts.push(textOf(frame));
    }
    expect(texts).toEqual(texts.toSorted((a, b) => idOf(a) - idOf(b)));
    expect(new Set(texts).size).toBe(BURST);
    expect(countWrites()).toBeLessThan(BURST);
    await socket[Symbol.asyncDispose]();
  }
});

test('the result of a mutation and the events that it causes on the same socket leave in one write', async () => {
  await using app = await startTestApp();
  const { ann, conversation } = await createAnnAndBob(app);
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  await subscribe(socket, 'first', conversation.id);
  await subscribe(socket, 'second', conversation.id);
  const countWrites = countWritesTo(socket.socket);
  const query = `mutation { sendMessage(conversationId: "${conversation.id}", text: "hello") { message { text } } }`;
  socket.send({ id: 'send', type: 'subscribe', payload: { query } });
  for (const id of ['first', 'second', 'send'])
    expect(await socket.next()).toMatchObject({ id, type: 'next' });
  expect(await socket.next()).toMatchObject({ id: 'send', type: 'complete' });
  expect(countWrites()).toBe(1);
});
