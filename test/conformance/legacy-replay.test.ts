import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Database } from '../../src/db/database.ts';
import { createGateway } from '../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { openTestDatabase } from '../harness/database.ts';
import { keepNewest } from '../harness/event-core.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { runMutation } from '../harness/run-mutation.ts';

// `after_message_id` of `join_conversation` replays missed frames before new ones, each exactly once.

let database: Database;
let app: TestGateway;
let ann: TestAccount;
let bob: TestAccount;
let conversation: Entity;
let conversationRef: { conversation_id: number };

beforeEach(async () => {
  database = await openTestDatabase();
  app = await createGateway({ database });
  ({ ann, bob, conversation } = await createAnnAndBob(app));
  conversationRef = { conversation_id: conversation.legacyId };
});

afterEach(async () => {
  await app[Symbol.asyncDispose]();
});

async function login(account: TestAccount): Promise<PacketSocket> {
  const client = await openPacketSocket(app.url);
  await client.request('authenticate', { token: account.token });
  return client;
}

const joinReply = () =>
  `42["success","Vous avez rejoins la conversation : conversation_${conversation.legacyId}"]`;
const send = async (text: string) => (await sendMessage(ann, conversation, text)).sendMessage.message;
const contentOf = (packet: string) => /"content":"([^"]*)"/.exec(packet)?.[1];
const createTexts = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `${from + n}`);

test('messages sent after the given one are replayed after the reply, in order, before new ones', async () => {
  const sent = [];
  for (const text of createTexts(0, 5)) sent.push(await send(text));
  await using client = await login(bob);
  const replies = await client.request('join_conversation', {
    ...conversationRef,
    after_message_id: sent[1]?.legacyId,
  });
  expect(replies[0]).toBe(joinReply());
  expect(replies.slice(1).map(contentOf)).toEqual(['2', '3', '4']);
  expect(replies[1]).toMatch(/^42\["message",\{"conversation_id":\d+,"message":\{"id":\d+,"link_id":\d+,/);
  await send('5');
  expect(contentOf(await client.next())).toBe('5');
  expect(client.pending()).toEqual([]);
});

test('changes and deletions are replayed, without what was deleted', async () => {
  const [first, second] = [await send('first'), await send('second')];
  await runMutation(ann, 'updateMessage(messageId: $id, text: $text)', { id: first.id, text: 'changed' });
  await runMutation(ann, 'deleteMessage(messageId: $id)', { id: second.id });
  await using client = await login(bob);
  const replies = await client.request('join_conversation', {
    ...conversationRef,
    after_message_id: `${first.legacyId}`,
  });
  expect(replies.slice(1).map((packet) => contentOf(packet) ?? packet)).toEqual([
    `42["message",{"conversation_id":${conversationRef.conversation_id},"message_id":${first.legacyId},"event":"update"}]`,
    `42["message",{"conversation_id":${conversationRef.conversation_id},"message_id":${second.legacyId},"event":"delete"}]`,
  ]);
});

test('a replay has no gap and no duplicate while others keep sending', async () => {
  const first = await send('start');
  await using client = await login(bob);
  const texts = createTexts(0, 150);
  const sending = (async () => {
    for (const text of texts) await send(text);
  })();
  for (let n = 0; n < 5; n += 1) {
    client.emit('join_conversation', { ...conversationRef, after_message_id: first.legacyId });
    client.emit('leave_conversation', conversationRef);
  }
  client.emit('join_conversation', { ...conversationRef, after_message_id: first.legacyId });
  for (let joins = 0; joins < 6;) if ((await client.next()) === joinReply()) joins += 1;
  const received = [];
  while (received.at(-1) !== '149') received.push(contentOf(await client.next()));
  await sending;
  expect(received).toEqual(texts);
});

test('a long replay is read in pages, no faster than the client reads', async () => {
  const first = await send('start');
  const texts = createTexts(0, 450);
  for (let n = 0; n < texts.length; n += 50) await Promise.all(texts.slice(n, n + 50).map(send));
  await using client = await login(bob);
  const replies = await client.request('join_conversation', {
    ...conversationRef,
    after_message_id: first.legacyId,
  });
  expect(replies).toHaveLength(texts.length + 1);
  expect(new Set(replies.slice(1).map(contentOf))).toEqual(new Set(texts));
  const ids = replies.slice(1).map((packet) => Number(/"id":(\d+)/.exec(packet)?.[1]));
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
});

test('a client that joins again immediately receives the replay again, once', async () => {
  const first = await send('start');
  await send('0');
  await using client = await login(bob);
  await client.request('join_conversation', conversationRef);
  await send('1');
  expect(contentOf(await client.next())).toBe('1');
  const replies = await client.request('join_conversation', {
    ...conversationRef,
    after_message_id: first.legacyId,
  });
  expect(replies.slice(1).map(contentOf)).toEqual(['0', '1']);
  await send('2');
  expect(contentOf(await client.next())).toBe('2');
  expect(client.pending()).toEqual([]);
});

test('a log trimmed beyond the message is reported as an error', async () => {
  const sent = [];
  for (const text of createTexts(0, 10)) sent.push(await send(text));
  await keepNewest(database.db, 5);
  await using client = await login(bob);
  expect(
    await client.request('join_conversation', { ...conversationRef, after_message_id: sent[1]?.legacyId }),
  ).toEqual(['42["error","Historique indisponible"]']);
  const replies = await client.request('join_conversation', {
    ...conversationRef,
    after_message_id: sent[6]?.legacyId,
  });
  expect(replies.slice(1).map(contentOf)).toEqual(['7', '8', '9']);
});

test('a client with the newest message has missed none, even if the log is trimmed', async () => {
  await send('0');
  const newest = await send('1');
  await keepNewest(database.db, 0);
  await using client = await login(bob);
  expect(
    await client.request('join_conversation', { ...conversationRef, after_message_id: newest.legacyId }),
  ).toEqual([joinReply()]);
  await send('2');
  expect(contentOf(await client.next())).toBe('2');
});

test('a malformed after_message_id is rejected; null requests no replay', async () => {
  await send('0');
  await using client = await login(bob);
  expect(await client.request('join_conversation', { ...conversationRef, after_message_id: 'x' })).toEqual([
    '42["error","Parameter missing"]',
  ]);
  expect(await client.request('join_conversation', { ...conversationRef, after_message_id: null })).toEqual([
    joinReply(),
  ]);
});

test('a client without access receives no replay', async () => {
  const first = await send('start');
  await send('secret');
  const eve = await app.createAccount();
  await using client = await login(eve);
  expect(
    await client.request('join_conversation', { ...conversationRef, after_message_id: first.legacyId }),
  ).toEqual(['42["error","Vous ne faite pas partie de cette conversation"]']);
});
