import { Readable } from 'node:stream';
import { sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import * as circles from '../../src/domain/circles.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as devices from '../../src/domain/devices.ts';
import * as media from '../../src/domain/media.ts';
import * as messages from '../../src/domain/messages.ts';
import type { SendInput } from '../../src/domain/messages.ts';
import { createSendBatcher } from '../../src/domain/send-batch.ts';
import { openTyping, setTyping } from '../../src/domain/typing.ts';
import { conversationTopic } from '../../src/events/event.ts';
import type { DomainEvent } from '../../src/events/event.ts';
import type { ConversationId, MediaId, MessageId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  readEvents,
  readEventTypes,
  readOutcomes,
  createUsers,
  createSession,
} from '../harness/domain-fixtures.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { countStatements } from '../harness/statements.ts';
import { indexes } from '../harness/numbers.ts';

/** Creates a circle of Ann, Bob and Eve with a conversation of Ann and Bob. */
async function seedConversation(deps: Deps) {
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob, eve);
  const conversation = await createConversation(deps, circle, ann, bob);
  return {
    ann,
    bob,
    eve,
    circle,
    conversation,
    conversationId: conversation.id,
    topic: conversationTopic(conversation.id),
  };
}

const textsOf = (events: readonly DomainEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'message.sent' ? [event.message.text] : []));

async function countMessages(deps: Deps): Promise<number> {
  return (await deps.db.selectFrom('messages').select('id').execute()).length;
}

test('a message includes author and media', async () => {
  await using deps = await createTestDeps();
  const { ann, conversationId, topic } = await seedConversation(deps);
  const lease = await deps.presence.open('graphql', ann.actor);
  const result = await messages.sendMessage(deps, ann.actor, { conversationId, text: 'hello' });
  expect(result.message).toMatchObject({
    conversationId,
    authorUserId: ann.user.id,
    authorDeviceId: null,
    text: 'hello',
    status: 'DONE',
    mediaCount: 0,
  });
  expect(result.message.participantId).toEqual(expect.any(Number));
  expect(Date.now() - Date.parse(result.message.sentAt)).toBeLessThan(10_000);
  expect(result.author).toEqual({ kind: 'user', user: ann.user, online: true });
  expect((await readEvents(deps, topic)).at(-1)).toEqual({ type: 'message.sent', ...result });
  expect(await messages.requireMessage(deps, ann.actor, result.message.id)).toEqual(result.message);
  await lease.close();
});

test('files are pending media of the message, in their order, until uploaded', async () => {
  await using deps = await createTestDeps();
  const { ann, conversationId, topic } = await seedConversation(deps);
  const files = ['b.png', '', 'a"\\{}.txt', 'b.png'];
  const result = await messages.sendMessage(deps, ann.actor, { conversationId, files });
  expect(result.message).toMatchObject({ text: '', status: 'PENDING', mediaCount: 4 });
  expect(result.media.map(({ identifier }) => identifier)).toEqual(files);
  expect(result.media[0]).toEqual({
    id: expect.any(Number) as number,
    messageId: result.message.id,
    identifier: 'b.png',
    filename: null,
    extension: null,
    contentType: null,
    size: null,
    uploadedAt: null,
  });
  expect((await readEvents(deps, topic)).at(-1)).toEqual({ type: 'message.sent', ...result });
});

test('any text is stored and published unchanged', async () => {
  await using deps = await createTestDeps();
  const { ann, conversationId } = await seedConversation(deps);
  for (const text of [
    '',
    ' ',
    '\u0001\n\t\u2028',
    '{"a":[1,"\\"]}',
    "'; drop table messages; --",
    '😀'.repeat(8192),
    'NULL',
    '{}',
  ]) {
    const { message } = await messages.sendMessage(deps, ann.actor, { conversationId, text });
    expect(message.text).toBe(text);
  }
  const { message } = await messages.sendMessage(deps, ann.actor, {
    conversationId,
    text: null,
    files: null,
  });
  expect(message).toMatchObject({ text: '', status: 'DONE' });
});

test.each<[string, Partial<SendInput>, string]>([
  ['too long a text', { text: 'é'.repeat(8193) }, 'text'],
  ['a NUL in the text', { text: 'a\0b' }, 'text'],
  ['half a surrogate pair in the text', { text: 'a\ud83d' }, 'text'],
  ['too many files', { files: indexes(21).map(String) }, 'files'],
  ['too long a file', { files: ['x'.repeat(1025)] }, 'files'],
  ['a NUL in a file', { files: ['ok', '\0'] }, 'files'],
  ['an empty key', { idempotencyKey: '' }, 'idempotencyKey'],
  ['too long a key', { idempotencyKey: 'x'.repeat(201) }, 'idempotencyKey'],
])('%s is rejected', async (_description, input, field) => {
  await using deps = await createTestDeps();
  const { ann, conversationId } = await seedConversation(deps);
  await expect(messages.sendMessage(deps, ann.actor, { conversationId, ...input })).rejects.toThrow(
    errorWithCode('INVALID_INPUT', { field }),
  );
  expect(await countMessages(deps)).toBe(0);
});

test('only participants can send, update, delete, read and type', async () => {
  await using deps = await createTestDeps();
  const { ann, eve, conversationId, topic } = await seedConversation(deps);
  const { message } = await messages.sendMessage(deps, ann.actor, { conversationId, text: 'secret' });
  const before = await readEventTypes(deps, topic);
  for (const id of [conversationId, 999 as ConversationId]) {
    await expect(messages.sendMessage(deps, eve.actor, { conversationId: id, text: 'hi' })).rejects.toThrow(
      errorWithCode('NOT_FOUND'),
    );
    await expect(setTyping(deps, eve.actor, { conversationId: id, isTyping: true })).rejects.toThrow(
      errorWithCode('NOT_FOUND'),
    );
    await expect(
      openTyping(deps, createSession(eve.actor), { conversationId: id }, undefined),
    ).rejects.toThrow(errorWithCode('NOT_FOUND'));
  }
  for (const messageId of [message.id, 999 as MessageId]) {
    await expect(messages.updateMessage(deps, eve.actor, { messageId, text: 'x' })).rejects.toThrow(
      errorWithCode('NOT_FOUND'),
    );
    await expect(messages.deleteMessage(deps, eve.actor, { messageId })).rejects.toThrow(
      errorWithCode('NOT_FOUND'),
    );
    await expect(messages.requireMessage(deps, eve.actor, messageId)).rejects.toThrow(
      errorWithCode('NOT_FOUND'),
    );
  }
  expect(await readEventTypes(deps, topic)).toEqual(before);
});

test('a device can send only where it has access, in its own circle', async () => {
  await using deps = await createTestDeps();
  const { ann, eve, circle, conversationId } = await seedConversation(deps);
  const device = await createDevice(deps, circle, ann);
  const send = () => messages.sendMessage(deps, device, { conversationId, text: 'beep' });
  await expect(send()).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: true });
  const result = await send();
  expect(result.message).toMatchObject({
    authorUserId: null,
    authorDeviceId: device.id,
    participantId: null,
  });
  expect(result.author).toMatchObject({ kind: 'device', device: { id: device.id, circleId: circle.id } });
  expect(
    await messages.updateMessage(deps, device, { messageId: result.message.id, text: 'boop' }),
  ).toMatchObject({ text: 'boop' });
  await expect(
    messages.updateMessage(deps, ann.actor, { messageId: result.message.id, text: 'x' }),
  ).rejects.toThrow(errorWithCode('FORBIDDEN'));

  const otherCircle = await createCircle(deps, eve);
  const foreignDevice = await createDevice(deps, otherCircle, eve);
  await expect(messages.sendMessage(deps, foreignDevice, { conversationId, text: 'hi' })).rejects.toThrow(
    errorWithCode('NOT_FOUND'),
  );
  await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: false });
  await expect(send()).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await expect(messages.deleteMessage(deps, device, { messageId: result.message.id })).rejects.toThrow(
    errorWithCode('FORBIDDEN'),
  );
});

test('messages of one batch have the order of their timestamps', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle, conversationId } = await seedConversation(deps);
  const device = await createDevice(deps, circle, ann);
  await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: true });
  const senders = [device, bob.actor, ann.actor];
  const results = await Promise.all(
    indexes(120).map((n) =>
      messages.sendMessage(deps, senders[n % 3] ?? ann.actor, { conversationId, text: `${n}` }),
    ),
  );
  const messagesById = results.map(({ message }) => message).toSorted((a, b) => a.id - b.id);
  expect(messagesById.map(({ text }) => text)).toEqual(indexes(120).map(String));
  expect(messagesById.map(({ sentAt }) => sentAt)).toEqual(
    messagesById.map(({ sentAt }) => sentAt).toSorted(),
  );
});

test('the author can update a message, which publishes the complete message', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId, topic } = await seedConversation(deps);
  const result = await messages.sendMessage(deps, ann.actor, { conversationId, text: 'helo', files: ['a'] });
  const messageId = result.message.id;
  await expect(messages.updateMessage(deps, bob.actor, { messageId, text: 'x' })).rejects.toThrow(
    errorWithCode('FORBIDDEN'),
  );
  await expect(messages.updateMessage(deps, ann.actor, { messageId, text: '\0' })).rejects.toThrow(
    errorWithCode('INVALID_INPUT', { field: 'text' }),
  );
  const updated = await messages.updateMessage(deps, ann.actor, { messageId, text: 'hello' });
  expect(updated).toMatchObject({
    ...result.message,
    text: 'hello',
    updatedAt: expect.any(String) as string,
  });
  expect(updated.updatedAt >= result.message.updatedAt).toBe(true);
  expect((await readEvents(deps, topic)).at(-1)).toEqual({
    type: 'message.updated',
    message: updated,
    author: result.author,
    media: result.media,
  });
});

test('the author can delete a message, which is returned as it was', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId, topic } = await seedConversation(deps);
  const { message } = await messages.sendMessage(deps, ann.actor, {
    conversationId,
    text: 'oops',
    files: ['a'],
  });
  const messageId = message.id;
  await expect(messages.deleteMessage(deps, bob.actor, { messageId })).rejects.toThrow(
    errorWithCode('FORBIDDEN'),
  );
  expect(await messages.deleteMessage(deps, ann.actor, { messageId })).toEqual(message);
  expect((await readEvents(deps, topic)).at(-1)).toEqual({
    type: 'message.deleted',
    conversationId,
    messageId,
  });
  await expect(messages.deleteMessage(deps, ann.actor, { messageId })).rejects.toThrow(
    errorWithCode('NOT_FOUND'),
  );
  expect(await deps.db.selectFrom('media').selectAll().execute()).toEqual([]);
});

test('an author who left cannot change messages until invited again', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, conversationId } = await seedConversation(deps);
  await conversations.inviteToConversation(deps, ann.actor, { conversationId, email: eve.email });
  const { message } = await messages.sendMessage(deps, bob.actor, { conversationId, text: 'mine' });
  const messageId = message.id;
  await conversations.leaveConversation(deps, bob.actor, { conversationId });
  await expect(messages.updateMessage(deps, bob.actor, { messageId, text: 'x' })).rejects.toThrow(
    errorWithCode('FORBIDDEN'),
  );
  await expect(messages.deleteMessage(deps, bob.actor, { messageId })).rejects.toThrow(
    errorWithCode('FORBIDDEN'),
  );
  expect(await messages.requireMessage(deps, ann.actor, messageId)).toEqual(message);
  await conversations.inviteToConversation(deps, ann.actor, { conversationId, email: bob.email });
  const updated = await messages.updateMessage(deps, bob.actor, { messageId, text: 'still mine' });
  expect(updated.participantId).toBe(message.participantId);
});

test('a repeated idempotency key returns the first message and publishes nothing', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId, topic } = await seedConversation(deps);
  const input = { conversationId, text: 'once', files: ['a', 'b'], idempotencyKey: 'k1' };
  const first = await messages.sendMessage(deps, ann.actor, input);
  const eventTypes = await readEventTypes(deps, topic);
  expect(await messages.sendMessage(deps, ann.actor, input)).toEqual(first);
  expect(await messages.sendMessage(deps, ann.actor, { ...input, text: 'other', files: [] })).toEqual(first);
  expect(await readEventTypes(deps, topic)).toEqual(eventTypes);
  // Keys are scoped to an account.
  const bobsMessage = await messages.sendMessage(deps, bob.actor, input);
  expect(bobsMessage.message.id).not.toBe(first.message.id);
  const next = await messages.sendMessage(deps, ann.actor, { ...input, idempotencyKey: 'k2' });
  expect(next.message.id).not.toBe(first.message.id);
});

test('a repeated key returns the first response, also after an upload', async () => {
  await using deps = await createTestDeps();
  const { ann, conversationId } = await seedConversation(deps);
  const input = { conversationId, text: 'once', files: ['a'], idempotencyKey: 'k1' };
  const first = await messages.sendMessage(deps, ann.actor, input);
  const mediaId = first.media[0]?.id ?? (0 as MediaId);
  const content = Readable.from([Buffer.from('x')]);
  await media.uploadMedia(deps, ann.actor, { mediaId, filename: 'a.txt', content });
  const repeated = await messages.sendMessage(deps, ann.actor, input);
  expect(repeated).toEqual({
    ...first,
    message: { ...first.message, updatedAt: repeated.message.updatedAt },
  });
});

test('a key of another conversation, or of a deleted message, is a CONFLICT', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle, conversationId } = await seedConversation(deps);
  const otherConversation = await createConversation(deps, circle, ann, bob);
  const input = { conversationId, text: 'once', idempotencyKey: 'k1' };
  const { message } = await messages.sendMessage(deps, ann.actor, input);
  const otherInput = { ...input, conversationId: otherConversation.id };
  await expect(messages.sendMessage(deps, ann.actor, otherInput)).rejects.toThrow(errorWithCode('CONFLICT'));
  await messages.deleteMessage(deps, ann.actor, { messageId: message.id });
  await expect(messages.sendMessage(deps, ann.actor, input)).rejects.toThrow(errorWithCode('CONFLICT'));
  expect(await countMessages(deps)).toBe(0);
});

test('a key whose first send was rejected can be used again', async () => {
  await using deps = await createTestDeps();
  const { ann, eve, conversationId } = await seedConversation(deps);
  const input = { conversationId, text: 'hi', idempotencyKey: 'k1' };
  await expect(messages.sendMessage(deps, eve.actor, input)).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await conversations.inviteToConversation(deps, ann.actor, { conversationId, email: eve.email });
  expect((await messages.sendMessage(deps, eve.actor, input)).message.text).toBe('hi');
});

test('fifty concurrent sends with one key store one message', async () => {
  await using deps = await createTestDeps();
  const { ann, conversationId, topic } = await seedConversation(deps);
  const sends = indexes(50).map((number) =>
    messages.sendMessage(deps, ann.actor, {
      conversationId,
      text: `try ${number}`,
      files: ['a'],
      idempotencyKey: 'k',
    }),
  );
  const results = await Promise.all(sends);
  expect(new Set(results.map(({ message }) => message.id)).size).toBe(1);
  for (const result of results) expect(result).toEqual(results[0]);
  expect(await countMessages(deps)).toBe(1);
  expect(textsOf(await readEvents(deps, topic))).toHaveLength(1);
});

test('concurrent sends with one key to several conversations store one message, the others conflict', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle } = await seedConversation(deps);
  const targets = await Promise.all(indexes(6).map(() => createConversation(deps, circle, ann, bob)));
  const attempts = targets.flatMap(({ id }) =>
    indexes(4).map(() =>
      messages.sendMessage(deps, ann.actor, { conversationId: id, text: 'x', idempotencyKey: 'k' }),
    ),
  );
  const results = await readOutcomes(attempts);
  expect(results.filter((result) => result === 'done')).toHaveLength(4);
  expect(results.filter((result) => result === 'CONFLICT')).toHaveLength(20);
  expect(await countMessages(deps)).toBe(1);
});

test('concurrent sends with one key on several nodes store one message', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle, conversationId } = await seedConversation(deps);
  const otherConversation = await createConversation(deps, circle, ann, bob);
  const nodes = indexes(4).map((): Deps => ({ ...deps, sendBatcher: createSendBatcher(deps) }));
  for (const round of indexes(5)) {
    const idempotencyKey = `round ${round}`;
    const attempts = nodes.flatMap((node) =>
      [conversationId, otherConversation.id].map((id) =>
        messages.sendMessage(node, ann.actor, { conversationId: id, idempotencyKey }),
      ),
    );
    const results = await readOutcomes(attempts);
    expect(results.filter((result) => result === 'done')).toHaveLength(4);
    expect(results.filter((result) => result === 'CONFLICT')).toHaveLength(4);
  }
  expect(await countMessages(deps)).toBe(5);
});

test('a send that the database rejects does not fail others of its batch', async () => {
  await using deps = await createTestDeps();
  const { ann, conversationId, topic } = await seedConversation(deps);
  await sql`alter table messages add constraint no_boom check (text <> 'boom')`.execute(deps.db);
  try {
    const send = (text: string) => messages.sendMessage(deps, ann.actor, { conversationId, text });
    const texts = ['one', 'two', 'boom', 'three', 'boom', 'four'];
    const results = await Promise.allSettled(texts.map(send));
    expect(results.map(({ status }) => status)).toEqual(
      texts.map((text) => (text === 'boom' ? 'rejected' : 'fulfilled')),
    );
    expect(textsOf(await readEvents(deps, topic))).toEqual(['one', 'two', 'three', 'four']);
  } finally {
    await sql`alter table messages drop constraint no_boom`.execute(deps.db);
  }
});

test('batched sends are stored in request order, and an error does not affect the others', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle, conversationId, topic } = await seedConversation(deps);
  const otherConversation = await createConversation(deps, circle, bob, eve);
  const attempts = indexes(200).map((number) => {
    const actor = [ann, bob, eve][number % 3]?.actor ?? ann.actor;
    const key = number % 4 === 0 ? { idempotencyKey: `key ${200 - number}` } : {};
    const id = number % 10 === 9 ? otherConversation.id : conversationId;
    return messages.sendMessage(deps, actor, { conversationId: id, text: String(number), ...key });
  });
  const results = await readOutcomes(attempts);
  for (const number of indexes(200)) {
    const sender = number % 3;
    const isRefused = number % 10 === 9 ? sender === 0 : sender === 2;
    expect(results[number]).toBe(isRefused ? 'NOT_FOUND' : 'done');
  }
  const expected = (inOther: boolean) =>
    indexes(200)
      .filter((n) => (n % 10 === 9) === inOther && results[n] === 'done')
      .map(String);
  expect(textsOf(await readEvents(deps, topic))).toEqual(expected(false));
  expect(textsOf(await readEvents(deps, conversationTopic(otherConversation.id)))).toEqual(expected(true));
  const page = await messages.findMessagePages(deps, [conversationId], { limit: 300, newestFirst: false });
  expect(page.get(conversationId)?.map(({ text }) => text)).toEqual(expected(false));
});

test('concurrent sends share a few transactions', async () => {
  await using deps = await createTestDeps();
  const { ann, conversationId } = await seedConversation(deps);
  const publish = vi.spyOn(deps.bus, 'publish');
  await Promise.all(
    indexes(100).map((n) => messages.sendMessage(deps, ann.actor, { conversationId, text: String(n) })),
  );
  expect(publish.mock.calls.length).toBeLessThan(10);
});

/** Sends over four connections, sequentially on each, until one is rejected. Returns the number of stored messages, and the error codes. */
async function sendUntilRejected(
  send: () => Promise<unknown>,
): Promise<{ stored: number; errorCodes: string[] }> {
  let stored = 0;
  const errorCodes = await Promise.all(
    indexes(4).map(async () => {
      for (;;) {
        const [result] = await readOutcomes([send()]);
        if (result !== 'done') return String(result);
        stored += 1;
      }
    }),
  );
  return { stored, errorCodes };
}

const waitUntilStored = (deps: Deps, text: string) =>
  vi.waitFor(async () => {
    const rows = await deps.db.selectFrom('messages').select('id').where('text', '=', text).execute();
    expect(rows.length).toBeGreaterThan(2);
  });

test('a send concurrent with a kick precedes it in the log, or is rejected', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, conversationId, topic } = await seedConversation(deps);
  for (const text of indexes(5).map((round) => `round ${round}`)) {
    await conversations.inviteToConversation(deps, bob.actor, { conversationId, email: eve.email });
    const result = sendUntilRejected(() => messages.sendMessage(deps, eve.actor, { conversationId, text }));
    await waitUntilStored(deps, text);
    await conversations.kickFromConversation(deps, ann.actor, { conversationId, email: eve.email });
    const { stored, errorCodes } = await result;
    expect(new Set(errorCodes)).toEqual(new Set(['NOT_FOUND']));
    const log = await readEvents(deps, topic);
    expect(log.at(-1)?.type).toBe('participant.kicked');
    expect(textsOf(log).filter((sentText) => sentText === text)).toHaveLength(stored);
  }
});

test('a device removed while sending leaves no partial message, and fails no other send', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle, conversationId, topic } = await seedConversation(deps);
  for (const text of indexes(3).map((round) => `round ${round}`)) {
    const device = await createDevice(deps, circle, ann);
    await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: true });
    const result = sendUntilRejected(() => messages.sendMessage(deps, device, { conversationId, text }));
    await waitUntilStored(deps, text);
    const otherSends = indexes(10).map(() => messages.sendMessage(deps, bob.actor, { conversationId }));
    await devices.removeDevice(deps, ann.actor, { deviceId: device.id });
    expect(await readOutcomes(otherSends)).toEqual(indexes(10).map(() => 'done'));
    const { stored, errorCodes } = await result;
    expect(new Set(errorCodes)).toEqual(new Set(['NOT_FOUND']));
    expect(textsOf(await readEvents(deps, topic)).filter((sentText) => sentText === text)).toHaveLength(
      stored,
    );
  }
});

test('a circle deleted during concurrent sends is deleted with all messages', async () => {
  await using deps = await createTestDeps();
  const { ann, circle, conversationId, topic } = await seedConversation(deps);
  const input = { conversationId, text: 'x', files: ['f'] };
  const result = sendUntilRejected(() => messages.sendMessage(deps, ann.actor, input));
  await waitUntilStored(deps, 'x');
  await circles.deleteCircle(deps, ann.actor, { circleId: circle.id });
  expect(new Set((await result).errorCodes)).toEqual(new Set(['NOT_FOUND']));
  expect((await readEventTypes(deps, topic)).at(-1)).toBe('conversation.deleted');
  expect(await countMessages(deps)).toBe(0);
});

test('pages of several conversations are read in one statement, from either end', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle, conversationId } = await seedConversation(deps);
  const otherConversation = await createConversation(deps, circle, ann, bob);
  const ids: Record<number, MessageId[]> = { [conversationId]: [], [otherConversation.id]: [] };
  for (const number of indexes(9)) {
    const id = number % 3 === 0 ? otherConversation.id : conversationId;
    const { message } = await messages.sendMessage(deps, ann.actor, {
      conversationId: id,
      text: String(number),
    });
    ids[id]?.push(message.id);
  }
  const conversationIds = [conversationId, otherConversation.id, 999 as ConversationId];
  const texts = async (page: Parameters<typeof messages.findMessagePages>[2]) => {
    const pages = await messages.findMessagePages(deps, conversationIds, page);
    return conversationIds.map(
      (id) =>
        pages
          .get(id)
          ?.map(({ text }) => text)
          .join('') ?? '',
    );
  };
  expect(await texts({ limit: 4, newestFirst: false })).toEqual(['1245', '036', '']);
  expect(await texts({ limit: 4, newestFirst: true })).toEqual(['8754', '630', '']);
  const [, second, , fourth] = ids[conversationId] ?? [];
  expect(await texts({ limit: 9, newestFirst: false, after: second })).toEqual(['4578', '36', '']);
  expect(await texts({ limit: 9, newestFirst: true, after: second, before: fourth })).toEqual(['4', '3', '']);
});

test('typing is published to all subscribers, including the sender, and not persisted', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId, topic } = await seedConversation(deps);
  const before = await readEventTypes(deps, topic);
  const stream = await openTyping(deps, createSession(ann.actor), { conversationId }, undefined);
  await setTyping(deps, bob.actor, { conversationId, isTyping: true });
  expect((await stream.next()).value).toMatchObject({
    actor: { kind: 'user', user: { id: bob.user.id } },
    isTyping: true,
  });
  await setTyping(deps, ann.actor, { conversationId, isTyping: false });
  expect((await stream.next()).value).toMatchObject({
    actor: { user: { id: ann.user.id } },
    isTyping: false,
  });
  await stream.return();
  expect(await readEventTypes(deps, topic)).toEqual(before);
});

test('a single message is sent in at most four statements, and delivered in none', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId } = await seedConversation(deps);
  const statements = countStatements(deps.db);
  const stream = await conversations.openConversationEvents(
    { ...deps, db: statements.db },
    createSession(bob.actor),
    { conversationId, after: null },
  );
  await stream.next();
  statements.count = 0;
  const sendBatcher = createSendBatcher({ ...deps, db: statements.db });
  await messages.sendMessage({ ...deps, sendBatcher }, ann.actor, { conversationId, text: 'alone' });
  await stream.next();
  await stream.return();
  expect(statements.count).toBeLessThanOrEqual(4);
});
