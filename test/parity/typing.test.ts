import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { createConversation, createDevice } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';

const TYPING = `subscription ($id: ID!) { typing(conversationId: $id) { isTyping actor { __typename ... on User { email } ... on Device { name } } } }`;
const SET_TYPING = 'mutation ($id: ID!, $is: Boolean!) { setTyping(conversationId: $id, isTyping: $is) }';

test('typing over either API is received over both', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  await using typing = bob.graphql.subscribe(TYPING, { id: conversation.id });
  await using barrier = await bob.subscribeToConversation(conversation.id);
  expect(barrier.pending()).toEqual([]);

  const annClient = await ann.connectLegacy();
  expect(await annClient.push('writing', { conversation_id: conversation.legacyId, is_writing: true })).toBe(
    'Writing sent',
  );
  expect(await typing.next()).toEqual({ isTyping: true, actor: { __typename: 'User', email: ann.login } });
  expect(await legacyClient.expect('writing')).toEqual({
    conversation_id: conversation.legacyId,
    device: false,
    user: ann.login,
    is_writing: true,
  });

  await ann.graphql.run(SET_TYPING, { id: conversation.id, is: false });
  expect(await typing.next()).toMatchObject({ isTyping: false });
  expect(await legacyClient.expect('writing')).toMatchObject({ is_writing: false });
});

test('a device that types has no user', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle } = await createAnnAndBob(app);
  const conversation = await createConversation(ann, circle, bob);
  const device = await createDevice(app, ann, circle);
  await ann.graphql.run(
    'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }',
    {
      id: conversation.id,
    },
  );
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  const deviceClient = await device.connectLegacy();
  await deviceClient.push('writing', { conversation_id: String(conversation.legacyId), is_writing: true });
  expect(await legacyClient.expect('writing')).toEqual({
    conversation_id: conversation.legacyId,
    device: true,
    is_writing: true,
  });
});

/** Creates the payload of a `writing` event. */
const createWriting = (conversation: { readonly legacyId: number }) => ({
  conversation_id: conversation.legacyId,
  is_writing: true,
});

test.for(['a legacy client', 'a GraphQL client'] as const)(
  'typing ends for both APIs when the last connection of %s closes',
  async (kind) => {
    await using app = await startTestApp();
    const { ann, bob, conversation } = await createAnnAndBob(app);
    const legacyClient = await bob.connectLegacy();
    await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
    await using typing = bob.graphql.subscribe(TYPING, { id: conversation.id });
    await using barrier = await bob.subscribeToConversation(conversation.id);
    expect(barrier.pending()).toEqual([]);
    const graphqlClient = await openGraphqlSocket(app.url, { token: ann.token });
    const annClient = await ann.connectLegacy();
    await annClient.push('writing', createWriting(conversation));
    expect(await legacyClient.expect('writing')).toMatchObject({ is_writing: true });
    expect(await typing.next()).toMatchObject({ isTyping: true });
    const [firstClosed, lastClosed] =
      kind === 'a legacy client' ? [graphqlClient.socket, annClient] : [annClient, graphqlClient.socket];
    firstClosed.close();
    // Once the gateway has replied to this event, it has processed the earlier close.
    await (await bob.connectLegacy()).push('writing', createWriting(conversation));
    expect(await legacyClient.expect('writing')).toMatchObject({ user: bob.login, is_writing: true });
    expect(await typing.next()).toMatchObject({ actor: { email: bob.login } });
    expect(legacyClient.pending().filter(({ channel }) => channel === 'writing')).toEqual([]);
    lastClosed.close();
    expect(await legacyClient.expect('writing')).toEqual({
      conversation_id: conversation.legacyId,
      device: false,
      user: ann.login,
      is_writing: false,
    });
    expect(await typing.next()).toEqual({
      isTyping: false,
      actor: { __typename: 'User', email: ann.login },
    });
  },
);

test('typing of a participant who is kicked ends after the kick', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle } = await createAnnAndBob(app);
  const eve = await app.createAccount();
  const { inviteToCircle } = await ann.graphql.run<{ inviteToCircle: { id: string } }>(
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
    { id: circle.id, email: eve.login },
  );
  await eve.graphql.run('mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { id } }', {
    id: inviteToCircle.id,
  });
  const conversation = await createConversation(ann, circle, bob, eve);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  const eveClient = await eve.connectLegacy();
  await eveClient.push('writing', createWriting(conversation));
  await legacyClient.expect('writing');
  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
    { id: conversation.id, email: eve.login },
  );
  expect(await legacyClient.expect('writing')).toMatchObject({ user: eve.login, is_writing: false });
  expect(legacyClient.pending()).toMatchObject([{ channel: 'conversation', args: [{ event: 'kick' }] }]);
});
