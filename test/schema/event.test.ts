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

const run = {
  createCircle: 'mutation { createCircle(name: "Family") { id eventCursor } }',
  updateCircle: 'mutation ($c: ID!) { updateCircle(circleId: $c, name: "Clan") { id } }',
  invite: 'mutation ($c: ID!, $e: String!) { inviteToCircle(circleId: $c, email: $e) { id } }',
  accept: 'mutation ($i: ID!) { acceptCircleInvitation(invitationId: $i) { id } }',
  kickMember: 'mutation ($c: ID!, $e: String!) { kickFromCircle(circleId: $c, email: $e) { id } }',
  leaveCircle: 'mutation ($c: ID!) { leaveCircle(circleId: $c) { id } }',
  deleteCircle: 'mutation ($c: ID!) { deleteCircle(circleId: $c) { id } }',
  addDevice: 'mutation ($c: ID!) { addDevice(circleId: $c, name: "Kitchen") { device { id } } }',
  updateDevice: 'mutation ($d: ID!) { updateDevice(deviceId: $d, name: "Hall") { id } }',
  removeDevice: 'mutation ($d: ID!) { removeDevice(deviceId: $d) { id } }',
  createConversation:
    'mutation ($c: ID!, $es: [String!]) { createConversation(circleId: $c, name: "Talk", emails: $es) { id eventCursor } }',
  updateConversation: 'mutation ($v: ID!) { updateConversation(conversationId: $v, name: "Chat") { id } }',
  inviteToConversation:
    'mutation ($v: ID!, $e: String!) { inviteToConversation(conversationId: $v, email: $e) { id } }',
  promote: 'mutation ($v: ID!, $e: String!) { promoteInConversation(conversationId: $v, email: $e) { id } }',
  kick: 'mutation ($v: ID!, $e: String!) { kickFromConversation(conversationId: $v, email: $e) { id } }',
  leave: 'mutation ($v: ID!) { leaveConversation(conversationId: $v) { id } }',
  access: 'mutation ($v: ID!) { setDeviceAccess(conversationId: $v, allowed: true) { id } }',
  send: 'mutation ($v: ID!) { sendMessage(conversationId: $v, text: "Hello", files: ["a.png"]) { message { id } media { id } } }',
  edit: 'mutation ($m: ID!) { updateMessage(messageId: $m, text: "Hi") { id } }',
  upload: 'mutation ($m: ID!, $f: Upload!) { uploadMedia(mediaId: $m, file: $f) { id } }',
  unsend: 'mutation ($m: ID!) { deleteMessage(messageId: $m) { id } }',
};

/** Triggers every event once. Returns the ids of the circle, the conversation and the message. */
async function everything(client: SchemaClient) {
  const [ann, bob, cid] = [
    await client.createUser('Ann'),
    await client.createUser('Bob'),
    await client.createUser('Cid'),
  ];
  const circle = (await client.run(ann, run.createCircle)).createCircle;
  const c: string = circle.id;
  for (const user of [bob, cid]) {
    const { inviteToCircle } = await client.run(ann, run.invite, { c, e: user.email });
    await client.run(user, run.accept, { i: inviteToCircle.id });
  }
  await client.run(ann, run.updateCircle, { c });
  const { addDevice } = await client.run(ann, run.addDevice, { c });
  await client.run(ann, run.updateDevice, { d: addDevice.device.id });
  const { createConversation } = await client.run(ann, run.createConversation, { c, es: [bob.email] });
  const v: string = createConversation.id;
  await client.run(ann, run.updateConversation, { v });
  await client.run(ann, run.inviteToConversation, { v, e: cid.email });
  await client.run(ann, run.access, { v });
  const { sendMessage } = await client.run(ann, run.send, { v });
  const file = { filename: 'photo.png', content: Readable.from([Buffer.from('content')]) };
  await client.run(ann, run.upload, { m: sendMessage.media[0].id, f: file });
  await client.run(ann, run.edit, { m: sendMessage.message.id });
  const remaining = await client.run(ann, run.send, { v });
  await client.run(ann, run.unsend, { m: sendMessage.message.id });
  await client.run(ann, run.promote, { v, e: bob.email });
  await client.run(bob, run.kick, { v, e: cid.email });
  await client.run(cid, run.leaveCircle, { c });
  return {
    ann,
    bob,
    cid,
    c,
    v,
    circle,
    device: addDevice.device.id as string,
    remaining: remaining.sendMessage.message.id as string,
  };
}

const STREAMS = {
  circle: `subscription ($id: ID!, $after: Cursor) { circleEvents(circleId: $id, after: $after) { SELECTION } }`,
  conversation: `subscription ($id: ID!, $after: Cursor) { conversationEvents(conversationId: $id, after: $after) { SELECTION } }`,
  inbox: `subscription ($after: Cursor) { inboxEvents(after: $after) { SELECTION } }`,
};

const MINIMAL = '__typename cursor at';

/** Returns the cursor of position 0, before the first event. */
const origin = (client: SchemaClient, topic: string): string =>
  Buffer.from(`${client.deps.epoch}/${topic}/0`).toString('base64url');

/** Reads a stream up to and including `StreamLive`. */
async function replay(
  client: SchemaClient,
  actor: ActorRef,
  document: string,
  topic: string,
  id?: string,
): Promise<ResponseData[]> {
  const stream = await client.subscribe(actor, document, { id, after: origin(client, topic) });
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
  const { ann, bob, c, v } = await everything(client);
  const all = selectFields('Event', 2);
  const circle = await replay(client, ann, STREAMS.circle.replace('SELECTION', all), topicOf(c), c);
  expect(namesOf(circle)).toEqual([
    'MemberJoined',
    'MemberJoined',
    'CircleUpdated',
    'DeviceAdded',
    'DeviceUpdated',
    'MemberLeft',
    'StreamLive',
  ]);
  const conversation = await replay(
    client,
    ann,
    STREAMS.conversation.replace('SELECTION', all),
    topicOf(v),
    v,
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
    'MessageSent',
    'MessageDeleted',
    'ParticipantPromoted',
    'ParticipantKicked',
    'StreamLive',
  ]);
  expect(conversation.slice(0, -1).every(({ conversationId }) => conversationId === v)).toBe(true);
  const inbox = await replay(client, bob, STREAMS.inbox.replace('SELECTION', all), `user:${bob.id}`);
  expect(namesOf(inbox)).toEqual(['CircleInvited', 'ConversationInvited', 'Promoted', 'StreamLive']);
  expect(inbox[0]).toMatchObject({
    circleId: c,
    invitation: { circle: { name: 'Family' }, user: { email: bob.email } },
  });
  const [, , , , access, sent, uploaded, updated, , deleted, promoted, kicked] = conversation;
  expect(access).toMatchObject({ allowed: true });
  expect(sent.message).toMatchObject({
    text: 'Hello',
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
      url: expect.stringMatching(/^\/media\/\d+$/),
      size: 7,
    },
  });
  expect(updated.message).toMatchObject({ id: sent.message.id, text: 'Hi' });
  expect(deleted).toMatchObject({ messageId: sent.message.id });
  expect(promoted).toMatchObject({ user: { email: bob.email } });
  expect(kicked).toMatchObject({ user: { email: 'cid@example.com' }, by: { email: bob.email } });
});

test('the data of an event is resolved without SQL statements', async () => {
  await using client = await openSchemaClient();
  const { ann, c, v } = await everything(client);
  const own = ({ name, args }: { name: string; args: readonly unknown[] }): boolean =>
    args.length === 0 && !['circle', 'conversation', 'participant', 'eventCursor'].includes(name);
  const messages = selectFields('Message', 1, own);
  const user = 'id email firstName';
  const conversation = `
    ${MINIMAL}
    ... on MessageSent { conversationId message { ${messages} } }
    ... on MessageUpdated { message { ${messages} } }
    ... on MediaUploaded { message { ${messages} } media { id url message { text } } }
    ... on MessageDeleted { messageId }
    ... on ConversationUpdated { conversation { name deviceAccess } }
    ... on ParticipantJoined { user { ${user} } }
    ... on ParticipantKicked { user { ${user} } by { ${user} } }
    ... on DeviceAccessChanged { allowed }`;
  const circle = `
    ${MINIMAL}
    ... on CircleUpdated { circleId circle { id name } }
    ... on MemberJoined { user { ${user} } }
    ... on DeviceAdded { device { id name username activated } }`;
  for (const [document, id] of [
    [STREAMS.conversation.replace('SELECTION', conversation), v],
    [STREAMS.circle.replace('SELECTION', circle), c],
  ] as const) {
    const stream = await client.subscribe(ann, document, { id, after: origin(client, topicOf(id)) });
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
  const { ann, bob, c, v } = await everything(client);
  const shared = selectFields('Event', 3, ({ extensions }) => extensions['perActor'] !== true);
  const readFields: string[] = [];
  const blindContext = (actor: ActorRef): Context => {
    const context = createContext({
      deps: client.deps,
      session: { actor, tokenId: 'test', issuedAt: null, expiresAt: 0 },
    });
    const blind = (of: object, names: readonly string[]) =>
      new Proxy(of, {
        get(target, name) {
          if (names.includes(String(name))) readFields.push(String(name));
          return Reflect.get(target, name, target) as unknown;
        },
      });
    const loaders = blind(context.loaders, ['ownCircle', 'ownConversationsOf']);
    Object.defineProperty(context, 'loaders', { value: loaders });
    return blind(context, ['session', 'signal', 'resumeAfter']) as Context;
  };
  for (const [document, topic, actor, id] of [
    [STREAMS.conversation, topicOf(v), ann, v],
    [STREAMS.circle, topicOf(c), ann, c],
    [STREAMS.inbox, `user:${bob.id}`, bob, undefined],
  ] as const) {
    const variableValues = { id, after: origin(client, topic) };
    const contextValue = createContext({
      deps: client.deps,
      session: { actor, tokenId: 'test', issuedAt: null, expiresAt: 0 },
    });
    const args = validateSubscriptionArgs({
      schema,
      document: parse(document.replace('SELECTION', shared)),
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
        contextValue: blindContext(actor),
      });
      expect(errors).toBeUndefined();
      if (value === undefined || value.type === 'live') break;
    }
    await source.return?.();
  }
  expect(readFields).toEqual([]);
});
