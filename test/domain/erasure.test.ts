import { Readable } from 'node:stream';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { ActorRef } from '../../src/actor.ts';
import * as accounts from '../../src/domain/accounts.ts';
import * as circles from '../../src/domain/circles.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as devices from '../../src/domain/devices.ts';
import { uploadMedia } from '../../src/domain/media.ts';
import * as messages from '../../src/domain/messages.ts';
import { encodeCursor } from '../../src/events/cursor.ts';
import { circleTopic, conversationTopic } from '../../src/events/event.ts';
import type { DomainEvent } from '../../src/events/event.ts';
import { sweep } from '../../src/services/retention.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createSession,
  createUser,
  createUsers,
  readEvents,
  readOutcomes,
} from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { PNG } from '../harness/media.ts';

/** Reads every row of every table as text. */
async function readRows(deps: Deps): Promise<string[]> {
  const { rows: tables } = await sql<{ name: string }>`
    select tablename as name from pg_tables where schemaname = current_schema()
  `.execute(deps.db);
  const texts = await Promise.all(
    tables.map(async ({ name }) => {
      const { rows } = await sql<{
        row: string;
      }>`select ${sql.table(name)}::text as row from ${sql.table(name)}`.execute(deps.db);
      return rows.map(({ row }) => `${name} ${row}`);
    }),
  );
  return texts.flat();
}

/** Returns the stored rows that contain a text. */
async function findRows(deps: Deps, text: string): Promise<string[]> {
  return (await readRows(deps)).filter((row) => row.toLowerCase().includes(text.toLowerCase()));
}

/** Ann and Bob in a circle with a device, and in a conversation to which the device has access. */
async function createFamily(deps: Deps) {
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const circle = await circles.createCircle(deps, ann.actor, { name: 'CIRCLE-MARK' });
  const join = async (user: TestUser) => {
    const invitation = await circles.inviteToCircle(deps, ann.actor, {
      circleId: circle.id,
      email: user.email,
    });
    await circles.acceptInvitation(deps, user.actor, { invitationId: invitation.id });
  };
  await join(bob);
  const { device } = await devices.addDevice(deps, ann.actor, { circleId: circle.id, name: 'DEVICE-MARK' });
  const { id: conversationId } = await conversations.createConversation(deps, ann.actor, {
    circleId: circle.id,
    name: 'CONVERSATION-MARK',
    emails: [bob.email],
  });
  await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: true });
  return {
    ann,
    bob,
    circleId: circle.id,
    conversationId,
    topic: conversationTopic(conversationId),
    deviceId: device.id,
    device: { kind: 'device', id: device.id } as const,
    join,
    send: (actor: ActorRef, text: string, ...files: string[]) =>
      messages.sendMessage(deps, actor, { conversationId, text, files }),
    async upload(actor: ActorRef, { media }: messages.SentMessage, filename: string) {
      const [first] = media;
      if (first === undefined) throw new Error('The message has no media');
      const content = Readable.from([PNG]);
      await uploadMedia(deps, actor, { mediaId: first.id, filename, content });
    },
  };
}

/** Deletes an account that has no password. */
const deleteAccount = (deps: Deps, { actor }: TestUser) =>
  accounts.deleteAccount(deps, createSession(actor), { password: '' });

/** Replays a conversation from its beginning, up to the newest event. */
async function replay(deps: Deps, { actor }: TestUser, conversationId: messages.SendInput['conversationId']) {
  const after = encodeCursor(deps.epoch.current, conversationTopic(conversationId), 0);
  const stream = await conversations.openConversationEvents(deps, createSession(actor), {
    conversationId,
    after,
  });
  const events: DomainEvent[] = [];
  for await (const item of stream) {
    if (item.type === 'live') break;
    events.push(item.event);
  }
  return events;
}

test('a deleted message leaves nothing in the database, the log and the media folder', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId, send, upload, join } = await createFamily(deps);
  const sent = await send(ann.actor, 'TEXT-MARK', 'IDENTIFIER-MARK');
  await upload(ann.actor, sent, 'FILE-MARK.png');
  await messages.updateMessage(deps, ann.actor, { messageId: sent.message.id, text: 'EDIT-MARK' });
  const kept = await send(bob.actor, 'kept');
  await messages.deleteMessage(deps, ann.actor, { messageId: sent.message.id });
  for (const mark of ['TEXT-MARK', 'IDENTIFIER-MARK', 'FILE-MARK', 'EDIT-MARK'])
    expect(await findRows(deps, mark)).toEqual([]);
  const late = await createUser(deps, 'late');
  await join(late);
  await conversations.inviteToConversation(deps, ann.actor, { conversationId, email: late.email });
  const events = (await replay(deps, late, conversationId)).filter(({ type }) => type.startsWith('me'));
  const deleted = { type: 'message.deleted', conversationId, messageId: sent.message.id };
  expect(events).toEqual([{ type: 'message.sent', ...kept }, deleted]);
});

test('an edit leaves no former text, and a replay shows the message with the current one', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId, send, upload } = await createFamily(deps);
  const sent = await send(ann.actor, 'FIRST-MARK', 'file');
  await upload(ann.actor, sent, 'file.png');
  const { id: messageId } = sent.message;
  for (const text of ['SECOND-MARK', 'THIRD-MARK', 'current'])
    await messages.updateMessage(deps, ann.actor, { messageId, text });
  for (const mark of ['FIRST-MARK', 'SECOND-MARK', 'THIRD-MARK'])
    expect(await findRows(deps, mark)).toEqual([]);
  const events = (await replay(deps, bob, conversationId)).flatMap((event) =>
    'message' in event ? [[event.type, event.message.text]] : [],
  );
  expect(events).toEqual([
    ['message.sent', 'current'],
    ['media.uploaded', 'current'],
    ['message.updated', 'current'],
  ]);
});

test('a replaced file leaves neither its name nor its content', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId, send, upload } = await createFamily(deps);
  const sent = await send(ann.actor, 'text', 'file');
  await upload(ann.actor, sent, 'FORMER-MARK.png');
  await messages.updateMessage(deps, ann.actor, { messageId: sent.message.id, text: 'edited' });
  await upload(ann.actor, sent, 'current.png');
  expect(await findRows(deps, 'FORMER-MARK')).toEqual([]);
  const events = (await replay(deps, bob, conversationId)).flatMap((event) =>
    'message' in event ? [[event.type, event.media[0]?.filename]] : [],
  );
  expect(events).toEqual([
    ['message.sent', null],
    ['message.updated', 'current'],
    ['media.uploaded', 'current'],
  ]);
});

test('a deleted account leaves no name and no e-mail, also where it was a member before', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circleId, conversationId, send, join } = await createFamily(deps);
  const gone = await createUser(deps, 'gone-mark');
  await join(gone);
  const invite = () =>
    conversations.inviteToConversation(deps, ann.actor, { conversationId, email: gone.email });
  await invite();
  const sent = await send(gone.actor, 'text of the conversation');
  await messages.sendMessage(deps, gone.actor, {
    conversationId,
    text: 'keyed',
    idempotencyKey: 'KEY-GONE-MARK',
  });
  await conversations.leaveConversation(deps, gone.actor, { conversationId });
  await invite();
  await conversations.kickFromConversation(deps, ann.actor, { conversationId, email: gone.email });
  await circles.leaveCircle(deps, gone.actor, { circleId });
  await accounts.updateAccount(deps, gone.actor, { lastName: 'Renamed-mark' });
  await deleteAccount(deps, gone);
  expect(await findRows(deps, 'gone-mark')).toEqual([]);
  expect(await findRows(deps, 'renamed-mark')).toEqual([]);
  const sentEvent = (await replay(deps, bob, conversationId)).find(({ type }) => type === 'message.sent');
  expect(sentEvent).toMatchObject({
    message: sent.message,
    author: { deleted: true, user: { id: gone.user.id, email: '', firstName: '', lastName: '' } },
  });
});

test('an account deleted while a member leaves no name and no e-mail', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circleId, conversationId, send, join } = await createFamily(deps);
  const gone = await createUser(deps, 'gone-mark');
  await join(gone);
  await conversations.inviteToConversation(deps, ann.actor, { conversationId, email: gone.email });
  await send(gone.actor, 'text');
  const published: DomainEvent[] = [];
  for (const topic of [circleTopic(circleId), conversationTopic(conversationId)])
    deps.bus.subscribe(
      topic,
      (notice) => notice.kind === 'event' && void published.push(notice.envelope.event),
    );
  await deleteAccount(deps, gone);
  // Subscribers receive the name of the member who left; the log does not retain it.
  expect(published).toMatchObject([
    { type: 'participant.left', user: { email: gone.email } },
    { type: 'member.left', user: { email: gone.email } },
  ]);
  expect(await findRows(deps, 'gone-mark')).toEqual([]);
  expect(await replay(deps, bob, conversationId)).toContainEqual(
    expect.objectContaining({
      type: 'participant.left',
      user: expect.objectContaining({ email: '' }) as unknown,
    }),
  );
});

test('a deleted conversation leaves no text, no file and no name', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId, device, send, upload } = await createFamily(deps);
  await upload(ann.actor, await send(ann.actor, 'TEXT-MARK', 'IDENTIFIER-MARK'), 'FILE-MARK.png');
  await send(device, 'DEVICE-TEXT-MARK');
  await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: false });
  await conversations.promoteInConversation(deps, ann.actor, { conversationId, email: bob.email });
  await conversations.leaveConversation(deps, bob.actor, { conversationId });
  for (const mark of ['TEXT-MARK', 'IDENTIFIER-MARK', 'FILE-MARK', 'CONVERSATION-MARK'])
    expect(await findRows(deps, mark)).toEqual([]);
  expect(await readEvents(deps, conversationTopic(conversationId))).not.toEqual([]);
});

test('a deleted circle leaves no text, no file and no name of it', async () => {
  await using deps = await createTestDeps();
  const { ann, circleId, device, send, upload } = await createFamily(deps);
  await upload(ann.actor, await send(ann.actor, 'TEXT-MARK', 'IDENTIFIER-MARK'), 'FILE-MARK.png');
  await send(device, 'DEVICE-TEXT-MARK');
  await circles.updateCircle(deps, ann.actor, { circleId, name: 'RENAMED-MARK' });
  await circles.deleteCircle(deps, ann.actor, { circleId });
  for (const mark of [
    'TEXT-MARK',
    'IDENTIFIER-MARK',
    'FILE-MARK',
    'CONVERSATION-MARK',
    'CIRCLE-MARK',
    'RENAMED-MARK',
    'DEVICE-MARK',
  ])
    expect(await findRows(deps, mark)).toEqual([]);
});

test('a removed device leaves no name and no username', async () => {
  await using deps = await createTestDeps();
  const { ann, device, deviceId, send } = await createFamily(deps);
  await send(device, 'text');
  await devices.updateDevice(deps, device, { deviceId, name: 'RENAMED-MARK' });
  const removed = await devices.removeDevice(deps, ann.actor, { deviceId });
  for (const mark of ['DEVICE-MARK', 'RENAMED-MARK', removed.username])
    expect(await findRows(deps, mark)).toEqual([]);
});

test.each(['message', 'conversation', 'circle', 'account'])(
  'the files of a deleted %s are removed',
  async (kind) => {
    await using deps = await createTestDeps();
    const { ann, bob, circleId, conversationId, send, upload } = await createFamily(deps);
    const sent = await send(ann.actor, '', 'file');
    await upload(ann.actor, sent, 'file.png');
    const { storageName } = await deps.db.selectFrom('media').select('storageName').executeTakeFirstOrThrow();
    (await deps.mediaStorage.read(storageName ?? '')).destroy();
    // In `media` and `media_details`.
    expect(await findRows(deps, storageName ?? '')).toHaveLength(2);
    if (kind === 'message') await messages.deleteMessage(deps, ann.actor, { messageId: sent.message.id });
    if (kind === 'conversation') {
      await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: false });
      await conversations.kickFromConversation(deps, ann.actor, { conversationId, email: bob.email });
    }
    if (kind === 'circle') await circles.deleteCircle(deps, ann.actor, { circleId });
    if (kind === 'account') {
      await circles.leaveCircle(deps, bob.actor, { circleId });
      await deleteAccount(deps, ann);
    }
    await expect(deps.mediaStorage.read(storageName ?? '')).rejects.toThrow(errorWithCode('NOT_FOUND'));
    expect(await findRows(deps, 'unused_files')).toEqual([]);
    expect(await findRows(deps, storageName ?? '')).toEqual([]);
  },
);

test('concurrent deletions and sweeps do not fail each other', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circleId, conversationId, send, join } = await createFamily(deps);
  const former: TestUser[] = [];
  for (const name of ['c-mark', 'd-mark', 'e-mark', 'f-mark']) {
    const user = await createUser(deps, name);
    await join(user);
    await conversations.inviteToConversation(deps, ann.actor, { conversationId, email: user.email });
    await send(user.actor, `text of ${name}`);
    former.push(user);
  }
  for (const { email } of former) await circles.kickFromCircle(deps, ann.actor, { circleId, email });
  const edited = await send(bob.actor, 'text');
  const trimming = { ...deps, config: { ...deps.config, EVENT_RETENTION_COUNT: 5 } };
  const outcomes = await readOutcomes([
    ...former.map((user) => deleteAccount(deps, user)),
    sweep(trimming),
    messages.updateMessage(deps, bob.actor, { messageId: edited.message.id, text: 'edited' }),
    sweep(trimming),
    circles.deleteCircle(deps, ann.actor, { circleId }),
  ]);
  // The edit may find its conversation deleted.
  expect(outcomes.filter((outcome) => outcome !== 'done' && outcome !== 'NOT_FOUND')).toEqual([]);
  expect(await findRows(deps, '-mark')).toEqual([]);
});

test('events of a node of an older version are redacted too', async () => {
  await using deps = await createTestDeps();
  const { ann, circleId, conversationId, send, topic } = await createFamily(deps);
  const removeLabels = () => sql`update events set message_id = null, subjects = null`.execute(deps.db);
  const sent = await send(ann.actor, 'FIRST-MARK');
  await removeLabels();
  await messages.deleteMessage(deps, ann.actor, { messageId: sent.message.id });
  expect(await findRows(deps, 'FIRST-MARK')).toEqual([]);
  await conversations.updateConversation(deps, ann.actor, { conversationId, name: 'RENAMED-MARK' });
  await removeLabels();
  await sweep(deps);
  const unlabelled = sql`select from events where message_id is null and subjects is null`;
  expect((await unlabelled.execute(deps.db)).rows).toEqual([]);
  await removeLabels();
  await circles.deleteCircle(deps, ann.actor, { circleId });
  for (const mark of ['CONVERSATION-MARK', 'RENAMED-MARK', 'CIRCLE-MARK'])
    expect(await findRows(deps, mark)).toEqual([]);
  expect(await readEvents(deps, topic)).not.toEqual([]);
});
