import { Readable } from 'node:stream';
import { createSourceEventStream, executeSubscriptionEvent, parse, validateSubscriptionArgs } from 'graphql';
import type { ExecutionResult } from 'graphql';
import { expect, test } from 'vitest';
import { createContext } from '../../src/schema/context.ts';
import type { Context } from '../../src/schema/context.ts';
import { schema } from '../../src/schema/index.ts';
import { selectFields } from './selection.ts';
import { openSchemaClient } from './schema-client.ts';
import type { ResponseData, SchemaClient } from './schema-client.ts';
import type { ActorRef } from '../../src/actor.ts';

const MUTATIONS = {
  createCircle: 'mutation { createCircle(name: "Family") { id eventCursor } }',
  updateCircle: 'mutation ($circleId: ID!) { updateCircle(circleId: $circleId, name: "Clan") { id } }',
  invite:
    'mutation ($circleId: ID!, $email: String!) { inviteToCircle(circleId: $circleId, email: $email) { id } }',
  accept: 'mutation ($invitationId: ID!) { acceptCircleInvitation(invitationId: $invitationId) { id } }',
  kickMember:
    'mutation ($circleId: ID!, $email: String!) { kickFromCircle(circleId: $circleId, email: $email) { id } }',
  leaveCircle: 'mutation ($circleId: ID!) { leaveCircle(circleId: $circleId) { id } }',
  deleteCircle: 'mutation ($circleId: ID!) { deleteCircle(circleId: $circleId) { id } }',
  addDevice:
    'mutation ($circleId: ID!) { addDevice(circleId: $circleId, name: "Kitchen") { device { id } } }',
  updateDevice: 'mutation ($deviceId: ID!) { updateDevice(deviceId: $deviceId, name: "Hall") { id } }',
  removeDevice: 'mutation ($deviceId: ID!) { removeDevice(deviceId: $deviceId) { id } }',
  createConversation:
    'mutation ($circleId: ID!, $emails: [String!]) { createConversation(circleId: $circleId, name: "Talk", emails: $emails) { id eventCursor } }',
  updateConversation:
    'mutation ($conversationId: ID!) { updateConversation(conversationId: $conversationId, name: "Chat") { id } }',
  inviteToConversation:
    'mutation ($conversationId: ID!, $email: String!) { inviteToConversation(conversationId: $conversationId, email: $email) { id } }',
  promote:
    'mutation ($conversationId: ID!, $email: String!) { promoteInConversation(conversationId: $conversationId, email: $email) { id } }',
  kick: 'mutation ($conversationId: ID!, $email: String!) { kickFromConversation(conversationId: $conversationId, email: $email) { id } }',
  leave: 'mutation ($conversationId: ID!) { leaveConversation(conversationId: $conversationId) { id } }',
  access:
    'mutation ($conversationId: ID!) { setDeviceAccess(conversationId: $conversationId, allowed: true) { id } }',
  send: 'mutation ($conversationId: ID!) { sendMessage(conversationId: $conversationId, text: "Hello", files: ["a.png"]) { message { id } media { id } } }',
  edit: 'mutation ($messageId: ID!) { updateMessage(messageId: $messageId, text: "Hi") { id } }',
  upload: 'mutation ($mediaId: ID!, $file: Upload!) { uploadMedia(mediaId: $mediaId, file: $file) { id } }',
  markRead:
    'mutation ($conversationId: ID!, $messageId: ID!) { markRead(conversationId: $conversationId, messageId: $messageId) { id } }',
  unsend: 'mutation ($messageId: ID!) { deleteMessage(messageId: $messageId) { id } }',
};

/** Triggers every event once. Returns the members and the ids of the circle and the conversation. */
async function triggerAllEvents(client: SchemaClient) {
  const [ann, bob, cid] = [
    await client.createUser('Ann'),
    await client.createUser('Bob'),
    await client.createUser('Cid'),
  ];
  const circle = (await client.run(ann, MUTATIONS.createCircle)).createCircle;
  const circleId: string = circle.id;
  for (const user of [bob, cid]) {
    const { inviteToCircle } = await client.run(ann, MUTATIONS.invite, { circleId, email: user.email });
    await client.run(user, MUTATIONS.accept, { invitationId: inviteToCircle.id });
  }
  await client.run(ann, MUTATIONS.updateCircle, { circleId });
  const { addDevice } = await client.run(ann, MUTATIONS.addDevice, { circleId });
  await client.run(ann, MUTATIONS.updateDevice, { deviceId: addDevice.device.id });
  const { createConversation } = await client.run(ann, MUTATIONS.createConversation, {
    circleId,
    emails: [bob.email],
  });
  const conversationId: string = createConversation.id;
  await client.run(ann, MUTATIONS.updateConversation, { conversationId });
  await client.run(ann, MUTATIONS.inviteToConversation, { conversationId, email: cid.email });
  await client.run(ann, MUTATIONS.access, { conversationId });
  const { sendMessage } = await client.run(ann, MUTATIONS.send, { conversationId });
  const file = { filename: 'photo.png', content: Readable.from([Buffer.from('content')]) };
  await client.run(ann, MUTATIONS.upload, { mediaId: sendMessage.media[0].id, file });
  await client.run(bob, MUTATIONS.markRead, { conversationId, messageId: sendMessage.message.id });
  await client.run(ann, MUTATIONS.edit, { messageId: sendMessage.message.id });
  const { sendMessage: unsent } = await client.run(ann, MUTATIONS.send, { conversationId });
  await client.run(ann, MUTATIONS.unsend, { messageId: unsent.message.id });
  await client.run(ann, MUTATIONS.promote, { conversationId, email: bob.email });
  await client.run(bob, MUTATIONS.kick, { conversationId, email: cid.email });
  await client.run(cid, MUTATIONS.leaveCircle, { circleId });
  return { ann, bob, circleId, conversationId };
}

const STREAMS = {
  circle: `subscription ($id: ID!, $after: Cursor) { circleEvents(circleId: $id, after: $after) { SELECTION } }`,
  conversation: `subscription ($id: ID!, $after: Cursor) { conversationEvents(conversationId: $id, after: $after) { SELECTION } }`,
  inbox: `subscription ($after: Cursor) { inboxEvents(after: $after) { SELECTION } }`,
};

const MINIMAL = '__typename cursor at';

/** Returns the cursor of position 0, before the first event. */
const startCursor = (client: SchemaClient, topic: string): string =>
  Buffer.from(`${client.deps.epoch.current}/${topic}/0`).toString('base64url');

/** Reads a stream up to and including `StreamLive`. */
async function readBacklog(
  client: SchemaClient,
  actor: ActorRef,
  document: string,
  topic: string,
  id?: string,
): Promise<ResponseData[]> {
  const stream = await client.subscribe(actor, document, { id, after: startCursor(client, topic) });
  const events: ResponseData[] = [];
  for (;;) {
    const { value } = (await stream.next()) as { value: ExecutionResult };
    expect(value.errors).toBeUndefined();
    const [event] = Object.values(JSON.parse(JSON.stringify(value.data))) as ResponseData[];
    events.push(event);
    if (event.__typename === 'StreamLive') break;
  }
  await stream.return(undefined);
  return events;
}

const topicOf = (globalId: string): string => globalId.toLowerCase();
const namesOf = (events: readonly ResponseData[]): string[] => events.map(({ __typename }) => __typename);

test('every domain event has a type that exposes all its data', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, circleId, conversationId } = await triggerAllEvents(client);
  const allFields = selectFields('Event', 2);
  const circle = await readBacklog(
    client,
    ann,
    STREAMS.circle.replace('SELECTION', allFields),
    topicOf(circleId),
    circleId,
  );
  expect(namesOf(circle)).toEqual([
    'MemberJoined',
    'MemberJoined',
    'CircleUpdated',
    'DeviceAdded',
    'DeviceUpdated',
    'MemberLeft',
    'StreamLive',
  ]);
  const conversation = await readBacklog(
    client,
    ann,
    STREAMS.conversation.replace('SELECTION', allFields),
    topicOf(conversationId),
    conversationId,
  );
  expect(namesOf(conversation)).toEqual([
    'ParticipantJoined',
    'ParticipantJoined',
    'ConversationUpdated',
    'ParticipantJoined',
    'DeviceAccessChanged',
    'MessageSent',
    'MediaUploaded',
    'MessageUpdated',
    'MessageDeleted',
    'ParticipantPromoted',
    'ParticipantKicked',
    'StreamLive',
  ]);
  expect(conversation.slice(0, -1).every((event) => event.conversationId === conversationId)).toBe(true);
  const inbox = await readBacklog(
    client,
    bob,
    STREAMS.inbox.replace('SELECTION', allFields),
    `user:${bob.id}`,
  );
  expect(namesOf(inbox)).toEqual([
    'CircleInvited',
    'ConversationInvited',
    'ReadStateChanged',
    'Promoted',
    'StreamLive',
  ]);
  expect(inbox[0]).toMatchObject({
    circleId,
    invitation: { circle: { name: 'Family' }, user: { email: bob.email } },
  });
  const [, , , , access, sent, uploaded, updated, deleted, promoted, kicked] = conversation;
  expect(access).toMatchObject({ allowed: true });
  expect(sent.message).toMatchObject({
    text: 'Hi',
    status: 'PENDING',
    mediaCount: 1,
    author: { __typename: 'User', email: ann.email, isOnline: false },
    media: [{ identifier: 'a.png', uploaded: false, url: null, filename: null }],
  });
  expect(uploaded).toMatchObject({
    message: { status: 'DONE', media: [{ uploaded: true }] },
    media: {
      filename: 'photo',
      extension: '.png',
      url: expect.stringMatching(/^\/media\/\d+\?signature=/),
      size: 7,
    },
  });
  expect(updated.message).toMatchObject({ id: sent.message.id, text: 'Hi' });
  expect(deleted.messageId).not.toBe(sent.message.id);
  expect(promoted).toMatchObject({ user: { email: bob.email } });
  expect(kicked).toMatchObject({ user: { email: 'cid@example.com' }, by: { email: bob.email } });
});

/** Fields of other rows. Files are inspected after the event. */
const LOADED_FIELDS = 'circle conversation participant eventCursor width height duration preview'.split(' ');

test('the data of an event is resolved without SQL statements', async () => {
  await using client = await openSchemaClient();
  const { ann, circleId, conversationId } = await triggerAllEvents(client);
  const isOwnField = ({ name, args }: { name: string; args: readonly unknown[] }): boolean =>
    args.length === 0 && !LOADED_FIELDS.includes(name);
  const messageFields = selectFields('Message', 1, isOwnField);
  const userFields = 'id email firstName';
  const conversation = `
    ${MINIMAL}
    ... on MessageSent { conversationId message { ${messageFields} } }
    ... on MessageUpdated { message { ${messageFields} } }
    ... on MediaUploaded { message { ${messageFields} } media { id url message { text } } }
    ... on MessageDeleted { messageId }
    ... on ConversationUpdated { conversation { name deviceAccess } }
    ... on ParticipantJoined { user { ${userFields} } }
    ... on ParticipantKicked { user { ${userFields} } by { ${userFields} } }
    ... on DeviceAccessChanged { allowed }`;
  const circle = `
    ${MINIMAL}
    ... on CircleUpdated { circleId circle { id name } }
    ... on MemberJoined { user { ${userFields} } }
    ... on DeviceAdded { device { id name username activated } }`;
  for (const [document, id] of [
    [STREAMS.conversation.replace('SELECTION', conversation), conversationId],
    [STREAMS.circle.replace('SELECTION', circle), circleId],
  ] as const) {
    const stream = await client.subscribe(ann, document, { id, after: startCursor(client, topicOf(id)) });
    await stream.next();
    client.statements.count = 0;
    for (let name = ''; name !== 'StreamLive';) {
      const { value } = await stream.next();
      name = Object.values(value.data).map((event: ResponseData) => event.__typename)[0] as string;
    }
    expect(client.statements.count).toBe(0);
    await stream.return(undefined);
  }
});

test('every field that depends on the caller is marked perActor', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, circleId, conversationId } = await triggerAllEvents(client);
  const sharedFields = selectFields('Event', 3, ({ extensions }) => extensions['perActor'] !== true);
  const readFields: string[] = [];
  const createObservedContext = (actor: ActorRef): Context => {
    const context = createContext({
      deps: client.deps,
      session: { actor, tokenId: 'test', issuedAt: null, expiresAt: 0 },
    });
    const observe = (target: object, names: readonly string[]) =>
      new Proxy(target, {
        get(object, name) {
          if (names.includes(String(name))) readFields.push(String(name));
          const value = Reflect.get(object, name, object) as unknown;
          return typeof value === 'function' ? (value.bind(object) as unknown) : value;
        },
      });
    const loaders = observe(context.loaders, ['ownCircle', 'ownConversationsOf']);
    Object.defineProperty(context, 'loaders', { value: loaders });
    return observe(context, ['session', 'signal', 'resumeAfter']) as Context;
  };
  for (const [document, topic, actor, id] of [
    [STREAMS.conversation, topicOf(conversationId), ann, conversationId],
    [STREAMS.circle, topicOf(circleId), ann, circleId],
    [STREAMS.inbox, `user:${bob.id}`, bob, undefined],
  ] as const) {
    const variableValues = { id, after: startCursor(client, topic) };
    const contextValue = createContext({
      deps: client.deps,
      session: { actor, tokenId: 'test', issuedAt: null, expiresAt: 0 },
    });
    const args = validateSubscriptionArgs({
      schema,
      document: parse(document.replace('SELECTION', sharedFields)),
      variableValues,
      contextValue,
    });
    if (!('schema' in args)) throw new Error(String(args));
    const stream = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in stream)) throw new Error(String(stream.errors));
    const source = stream[Symbol.asyncIterator]() as AsyncIterator<{ type: string }, undefined>;
    for (;;) {
      const { value } = await source.next();
      const { errors } = await executeSubscriptionEvent({
        ...args,
        rootValue: value,
        contextValue: createObservedContext(actor),
      });
      expect(errors).toBeUndefined();
      if (value === undefined || value.type === 'live') break;
    }
    await source.return?.();
  }
  expect(readFields).toEqual([]);
});
