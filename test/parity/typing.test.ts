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
  const phone = await bob.connectLegacy();
  await phone.push('join_conversation', { conversation_id: conversation.legacyId });
  await using reader = bob.graphql.subscribe(TYPING, { id: conversation.id });
  await using flush = await bob.subscribeToConversation(conversation.id);
  expect(flush.pending()).toEqual([]);

  const sender = await ann.connectLegacy();
  expect(await sender.push('writing', { conversation_id: conversation.legacyId, is_writing: true })).toBe(
    'Writing sent',
  );
  expect(await reader.next()).toEqual({ isTyping: true, actor: { __typename: 'User', email: ann.login } });
  expect(await phone.expect('writing')).toEqual({
    conversation_id: conversation.legacyId,
    device: false,
    user: ann.login,
    is_writing: true,
  });

  await ann.graphql.run(SET_TYPING, { id: conversation.id, is: false });
  expect(await reader.next()).toMatchObject({ isTyping: false });
  expect(await phone.expect('writing')).toMatchObject({ is_writing: false });
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
  const phone = await bob.connectLegacy();
  await phone.push('join_conversation', { conversation_id: conversation.legacyId });
  const kitchen = await device.connectLegacy();
  await kitchen.push('writing', { conversation_id: String(conversation.legacyId), is_writing: true });
  expect(await phone.expect('writing')).toEqual({
    conversation_id: conversation.legacyId,
    device: true,
    is_writing: true,
  });
});

const isWriting = (conversation: { readonly legacyId: number }) => ({
  conversation_id: conversation.legacyId,
  is_writing: true,
});

test.for(['a legacy client', 'a GraphQL client'] as const)(
  'typing ends for both APIs when the last connection of %s closes',
  async (kind) => {
    await using app = await startTestApp();
    const { ann, bob, conversation } = await createAnnAndBob(app);
    const phone = await bob.connectLegacy();
    await phone.push('join_conversation', { conversation_id: conversation.legacyId });
    await using reader = bob.graphql.subscribe(TYPING, { id: conversation.id });
    await using flush = await bob.subscribeToConversation(conversation.id);
    expect(flush.pending()).toEqual([]);
    const last = await openGraphqlSocket(app.url, { token: ann.token });
    const first = await ann.connectLegacy();
    await first.push('writing', isWriting(conversation));
    expect(await phone.expect('writing')).toMatchObject({ is_writing: true });
    expect(await reader.next()).toMatchObject({ isTyping: true });
    const [early, late] = kind === 'a legacy client' ? [last.socket, first] : [first, last.socket];
    early.close();
    // Once this is answered, the gateway has noticed the close before.
    await (await bob.connectLegacy()).push('writing', isWriting(conversation));
    expect(await phone.expect('writing')).toMatchObject({ user: bob.login, is_writing: true });
    expect(await reader.next()).toMatchObject({ actor: { email: bob.login } });
    expect(phone.pending().filter(({ channel }) => channel === 'writing')).toEqual([]);
    late.close();
    expect(await phone.expect('writing')).toEqual({
      conversation_id: conversation.legacyId,
      device: false,
      user: ann.login,
      is_writing: false,
    });
    expect(await reader.next()).toEqual({
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
  const phone = await bob.connectLegacy();
  await phone.push('join_conversation', { conversation_id: conversation.legacyId });
  const typist = await eve.connectLegacy();
  await typist.push('writing', isWriting(conversation));
  await phone.expect('writing');
  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
    { id: conversation.id, email: eve.login },
  );
  expect(await phone.expect('writing')).toMatchObject({ user: eve.login, is_writing: false });
  expect(phone.pending()).toMatchObject([{ channel: 'conversation', args: [{ event: 'kick' }] }]);
});
