import { expect, test } from 'vitest';
import { logout } from '../../src/domain/accounts.ts';
import { openWorld } from './schema-client.ts';
import type { Answer } from './schema-client.ts';
import { family } from './seed-family.ts';

const EVENTS =
  'subscription ($id: ID!, $after: Cursor) { conversationEvents(conversationId: $id, after: $after) { __typename cursor ... on MessageSent { message { text } } } }';
const SEND =
  'mutation ($id: ID!, $text: String) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

const next = async (stream: AsyncGenerator<{ data?: unknown }>): Promise<Answer> => {
  const { value } = await stream.next();
  return Object.values(value.data)[0];
};

test('a query and a subscription after its cursor leave no gap', async () => {
  await using world = await openWorld();
  const { ann, bob, conversation: id } = await family(world);
  const { conversation } = await world.run(
    ann,
    'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
    { id },
  );
  await world.run(bob, SEND, { id, text: 'meanwhile' });
  const stream = await world.subscribe(ann, EVENTS, { id, after: conversation.eventCursor });
  expect(await next(stream)).toMatchObject({ __typename: 'MessageSent', message: { text: 'meanwhile' } });
  const live = await next(stream);
  expect(live.__typename).toBe('StreamLive');
  await world.run(bob, SEND, { id, text: 'live' });
  expect(await next(stream)).toMatchObject({ message: { text: 'live' } });
  await stream.return(undefined);
  const again = await world.subscribe(ann, EVENTS, { id, after: live.cursor });
  expect(await next(again)).toMatchObject({ message: { text: 'live' } });
  await again.return(undefined);
});

test('what is no cursor of the stream is refused when it begins', async () => {
  await using world = await openWorld();
  const { ann, conversation: id } = await family(world);
  const { circles } = await world.run(ann, '{ circles { nodes { eventCursor } } }');
  for (const after of [' ', 'x', 'x'.repeat(300), circles.nodes[0].eventCursor]) {
    await expect(world.subscribe(ann, EVENTS, { id, after })).rejects.toMatchObject({
      code: 'CURSOR_INVALID',
    });
  }
  for (const [actor, topic] of [
    [ann, 'Conversation:998'],
    [ann, 'Conversation:999'],
    [await world.user('Eve'), id],
  ] as const) {
    await expect(world.subscribe(actor, EVENTS, { id: topic })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  }
  await expect(world.subscribe(null, EVENTS, { id })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

test('a subscription that nobody has read can be cancelled, and leaves nothing behind', async () => {
  await using world = await openWorld();
  const { ann, circle, conversation: id } = await family(world);
  const documents = [
    EVENTS,
    'subscription ($circle: ID!) { circleEvents(circleId: $circle) { at } }',
    'subscription { inboxEvents { at } }',
    'subscription ($id: ID!) { typing(conversationId: $id) { isTyping } }',
    'subscription ($circle: ID!) { presence(circleId: $circle) { online } }',
    'subscription { signals { content } }',
  ];
  for (const document of documents) {
    const stream = await world.subscribe(ann, document, { id, circle });
    await stream.return(undefined);
  }
  expect([...world.deps.bus.topics()]).toEqual([]);
});

test('a reader who is removed gets the event that says so, and then the reason', async () => {
  await using world = await openWorld();
  const { ann, bob, conversation: id } = await family(world);
  const stream = await world.subscribe(bob, EVENTS, { id });
  expect(await next(stream)).toMatchObject({ __typename: 'StreamLive' });
  await world.run(
    ann,
    'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
    {
      id,
      email: bob.email,
    },
  );
  expect(await next(stream)).toMatchObject({ __typename: 'ParticipantKicked' });
  await expect(stream.next()).rejects.toMatchObject({ code: 'FORBIDDEN', details: { reason: 'KICKED' } });
});

test('the inbox does not show what ends sessions', async () => {
  await using world = await openWorld();
  const { bob } = await family(world);
  const before = Buffer.from(`${world.deps.epoch}/user:${bob.id}/0`).toString('base64url');
  await logout(world.deps, {
    actor: bob,
    tokenId: 'another',
    issuedAt: null,
    expiresAt: Date.now() + 60_000,
  });
  const stream = await world.subscribe(
    bob,
    'subscription ($after: Cursor) { inboxEvents(after: $after) { __typename } }',
    {
      after: before,
    },
  );
  const names = [await next(stream), await next(stream), await next(stream)].map((event) => event.__typename);
  expect(names).toEqual(['CircleInvited', 'ConversationInvited', 'StreamLive']);
  await stream.return(undefined);
});

test('typing, presence and signals reach their readers', async () => {
  await using world = await openWorld();
  const { ann, bob, circle, conversation: id } = await family(world);
  const who = '{ __typename ... on User { id isOnline } }';
  const typing = await world.subscribe(
    ann,
    `subscription ($id: ID!) { typing(conversationId: $id) { actor ${who} isTyping } }`,
    { id },
  );
  await world.run(bob, 'mutation ($id: ID!) { setTyping(conversationId: $id, isTyping: true) }', { id });
  const user = { __typename: 'User', id: `User:${bob.id}` };
  expect(await next(typing)).toMatchObject({ actor: user, isTyping: true });
  await typing.return(undefined);

  const presence = await world.subscribe(
    ann,
    `subscription ($id: ID!) { presence(circleId: $id) { actor ${who} online } }`,
    { id: circle },
  );
  const lease = await world.deps.presence.open('graphql', bob);
  expect(await next(presence)).toEqual({ actor: { ...user, isOnline: true }, online: true });
  await lease.close();
  expect(await next(presence)).toEqual({ actor: { ...user, isOnline: false }, online: false });
  await presence.return(undefined);

  const SIGNAL = 'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }';
  const content = { message: 'CALLING', list: [1, null, { deep: 1.5 }] };
  expect(await world.refused(bob, SIGNAL, { to: { userId: `User:${ann.id}` }, content })).toEqual({
    code: 'UNREACHABLE',
  });
  const signals = await world.subscribe(ann, `subscription { signals { sender ${who} content } }`);
  for (const to of [{ userId: `User:${ann.id}` }, { email: ann.email }]) {
    expect(await world.run(bob, SIGNAL, { to, content })).toEqual({ sendSignal: true });
    expect(await next(signals)).toMatchObject({ sender: user, content });
  }
  await world.run(
    bob,
    'mutation ($id: ID!, $n: Int!) { sendSignal(to: { userId: $id }, content: { n: [$n, "x", true, null] }) }',
    { id: `User:${ann.id}`, n: 3 },
  );
  expect(await next(signals)).toMatchObject({ content: { n: [3, 'x', true, null] } });
  await signals.return(undefined);
});

test('the servers for calls are public, their credentials are not', async () => {
  await using world = await openWorld();
  const ann = await world.user('Ann');
  const servers =
    'stunServers { urls username credential } turnServers { urls username credential } iceServers { urls username credential }';
  const anonymous = (await world.run(null, `{ webrtc { ${servers} } }`)).webrtc;
  const bare = (url: string) => ({ urls: [url], username: null, credential: null });
  const [stun, turn] = [bare('stun:webrtc.neo.ovh:3478'), bare('turn:webrtc.neo.ovh:3478')];
  expect(anonymous).toEqual({ stunServers: [stun], turnServers: [turn], iceServers: [stun, turn] });
  expect(await world.refused(null, '{ webrtc { credentials { username } } }')).toEqual({
    code: 'UNAUTHENTICATED',
  });
  const { webrtc } = await world.run(
    ann,
    `{ webrtc { ${servers} credentials { username password expiresAt } } }`,
  );
  expect(webrtc.iceServers[1]).toEqual({
    urls: turn.urls,
    username: expect.stringMatching(/^\d+(\.\d+)?:\d+False$/),
    credential: expect.any(String),
  });
  expect(webrtc.turnServers).toEqual([turn]);
});
