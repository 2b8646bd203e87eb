import { expect, test } from 'vitest';
import { logout } from '../../src/domain/accounts.ts';
import { openSchemaClient } from './schema-client.ts';
import type { ResponseData } from './schema-client.ts';
import { seedConversation } from './seed-conversation.ts';

const EVENTS =
  'subscription ($id: ID!, $after: Cursor) { conversationEvents(conversationId: $id, after: $after) { __typename cursor ... on MessageSent { message { text } } } }';
const SEND_MESSAGE =
  'mutation ($id: ID!, $text: String) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

const readNext = async (stream: AsyncGenerator<{ data?: unknown }>): Promise<ResponseData> => {
  const { value } = await stream.next();
  return Object.values(value.data)[0];
};

test('a subscription after the eventCursor of a query misses no event', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, conversation: id } = await seedConversation(client);
  const { conversation } = await client.run(
    ann,
    'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
    { id },
  );
  await client.run(bob, SEND_MESSAGE, { id, text: 'meanwhile' });
  const stream = await client.subscribe(ann, EVENTS, { id, after: conversation.eventCursor });
  expect(await readNext(stream)).toMatchObject({ __typename: 'MessageSent', message: { text: 'meanwhile' } });
  const live = await readNext(stream);
  expect(live.__typename).toBe('StreamLive');
  await client.run(bob, SEND_MESSAGE, { id, text: 'live' });
  expect(await readNext(stream)).toMatchObject({ message: { text: 'live' } });
  await stream.return(undefined);
  const resumedStream = await client.subscribe(ann, EVENTS, { id, after: live.cursor });
  expect(await readNext(resumedStream)).toMatchObject({ message: { text: 'live' } });
  await resumedStream.return(undefined);
});

test('an invalid cursor is rejected when the stream starts', async () => {
  await using client = await openSchemaClient();
  const { ann, conversation: id } = await seedConversation(client);
  const { circles } = await client.run(ann, '{ circles { nodes { eventCursor } } }');
  for (const after of [' ', 'x', 'x'.repeat(300), circles.nodes[0].eventCursor]) {
    await expect(client.subscribe(ann, EVENTS, { id, after })).rejects.toMatchObject({
      code: 'CURSOR_INVALID',
    });
  }
  for (const [actor, topic] of [
    [ann, 'Conversation:998'],
    [ann, 'Conversation:999'],
    [await client.createUser('Eve'), id],
  ] as const) {
    await expect(client.subscribe(actor, EVENTS, { id: topic })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  }
  await expect(client.subscribe(null, EVENTS, { id })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

test('a subscription can be cancelled before its first read, and releases its resources', async () => {
  await using client = await openSchemaClient();
  const { ann, circle, conversation: id } = await seedConversation(client);
  const documents = [
    EVENTS,
    'subscription ($circle: ID!) { circleEvents(circleId: $circle) { at } }',
    'subscription { inboxEvents { at } }',
    'subscription ($id: ID!) { typing(conversationId: $id) { isTyping } }',
    'subscription ($circle: ID!) { presence(circleId: $circle) { online } }',
    'subscription { signals { content } }',
  ];
  for (const document of documents) {
    const stream = await client.subscribe(ann, document, { id, circle });
    await stream.return(undefined);
  }
  expect([...client.deps.bus.topics()]).toEqual([]);
});

test('a removed member receives the event of the removal, then the end reason', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, conversation: id } = await seedConversation(client);
  const stream = await client.subscribe(bob, EVENTS, { id });
  expect(await readNext(stream)).toMatchObject({ __typename: 'StreamLive' });
  await client.run(
    ann,
    'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
    {
      id,
      email: bob.email,
    },
  );
  expect(await readNext(stream)).toMatchObject({ __typename: 'ParticipantKicked' });
  await expect(stream.next()).rejects.toMatchObject({ code: 'FORBIDDEN', details: { reason: 'KICKED' } });
});

test('the inbox does not deliver events that end sessions', async () => {
  await using client = await openSchemaClient();
  const { bob } = await seedConversation(client);
  const after = Buffer.from(`${client.deps.epoch.current}/user:${bob.id}/0`).toString('base64url');
  await logout(client.deps, {
    actor: bob,
    tokenId: 'another',
    issuedAt: null,
    expiresAt: Date.now() + 60_000,
  });
  const stream = await client.subscribe(
    bob,
    'subscription ($after: Cursor) { inboxEvents(after: $after) { __typename } }',
    { after },
  );
  const names = [await readNext(stream), await readNext(stream), await readNext(stream)].map(
    (event) => event.__typename,
  );
  expect(names).toEqual(['CircleInvited', 'ConversationInvited', 'StreamLive']);
  await stream.return(undefined);
});

test('typing, presence and signals are delivered to their subscribers', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, circle, conversation: id } = await seedConversation(client);
  const actorFields = '{ __typename ... on User { id isOnline } }';
  const typing = await client.subscribe(
    ann,
    `subscription ($id: ID!) { typing(conversationId: $id) { actor ${actorFields} isTyping } }`,
    { id },
  );
  await client.run(bob, 'mutation ($id: ID!) { setTyping(conversationId: $id, isTyping: true) }', { id });
  const user = { __typename: 'User', id: `User:${bob.id}` };
  expect(await readNext(typing)).toMatchObject({ actor: user, isTyping: true });
  await typing.return(undefined);

  const presence = await client.subscribe(
    ann,
    `subscription ($id: ID!) { presence(circleId: $id) { actor ${actorFields} online } }`,
    { id: circle },
  );
  const lease = await client.deps.presence.open('graphql', bob);
  expect(await readNext(presence)).toEqual({ actor: { ...user, isOnline: true }, online: true });
  await lease.close();
  expect(await readNext(presence)).toEqual({ actor: { ...user, isOnline: false }, online: false });
  await presence.return(undefined);

  const SIGNAL = 'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }';
  const content = { message: 'CALLING', list: [1, null, { deep: 1.5 }] };
  expect(await client.expectError(bob, SIGNAL, { to: { userId: `User:${ann.id}` }, content })).toEqual({
    code: 'UNREACHABLE',
  });
  const signals = await client.subscribe(ann, `subscription { signals { sender ${actorFields} content } }`);
  for (const to of [{ userId: `User:${ann.id}` }, { email: ann.email }]) {
    expect(await client.run(bob, SIGNAL, { to, content })).toEqual({ sendSignal: true });
    expect(await readNext(signals)).toMatchObject({ sender: user, content });
  }
  await client.run(
    bob,
    'mutation ($id: ID!, $n: Int!) { sendSignal(to: { userId: $id }, content: { n: [$n, "x", true, null] }) }',
    { id: `User:${ann.id}`, n: 3 },
  );
  expect(await readNext(signals)).toMatchObject({ content: { n: [3, 'x', true, null] } });
  await signals.return(undefined);
});

test('ICE servers require no token, TURN credentials do', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  const serverFields =
    'stunServers { urls username credential } turnServers { urls username credential } iceServers { urls username credential }';
  const servers = (await client.run(null, `{ webrtc { ${serverFields} } }`)).webrtc;
  const serverOf = (url: string) => ({ urls: [url], username: null, credential: null });
  const [stun, turn] = [serverOf('stun:webrtc.neo.ovh:3478'), serverOf('turn:webrtc.neo.ovh:3478')];
  expect(servers).toEqual({ stunServers: [stun], turnServers: [turn], iceServers: [stun, turn] });
  expect(await client.expectError(null, '{ webrtc { credentials { username } } }')).toEqual({
    code: 'UNAUTHENTICATED',
  });
  const { webrtc } = await client.run(
    ann,
    `{ webrtc { ${serverFields} credentials { username password expiresAt } } }`,
  );
  expect(webrtc.iceServers[1]).toEqual({
    urls: turn.urls,
    username: expect.stringMatching(/^\d+(\.\d+)?:\d+False$/),
    credential: expect.any(String),
  });
  expect(webrtc.turnServers).toEqual([turn]);
});
