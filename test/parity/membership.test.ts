import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createCircle, createConversation, createDevice } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';

test('an invitation reaches the inbox and the newest legacy connection; a join reaches the circle', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const bob = await app.createAccount();
  const circle = await createCircle(ann);
  await using inbox = await bob.subscribeToInbox();
  await using events = await ann.subscribeToCircle(circle.id);
  const olderClient = await bob.connectLegacy();
  const newerClient = await bob.connectLegacy();
  const memberClient = await ann.connectLegacy();
  await memberClient.push('join_circle', { circle_id: circle.legacyId });

  const { inviteToCircle } = await ann.graphql.run<{ inviteToCircle: { id: string; legacyId: number } }>(
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id legacyId } }',
    { id: circle.id, email: bob.login },
  );
  expect(await inbox.next()).toMatchObject({
    __typename: 'CircleInvited',
    invitation: { id: inviteToCircle.id },
  });
  expect(await newerClient.expect('circle_invite')).toEqual({
    event: 'invite',
    circle_id: circle.legacyId,
    circle_invite_id: inviteToCircle.legacyId,
  });

  await bob.graphql.run('mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { id } }', {
    id: inviteToCircle.id,
  });
  expect(await events.nextOf('MemberJoined')).toMatchObject({ user: { email: bob.login } });
  expect(await memberClient.expect('circle')).toEqual({
    event: 'join',
    user: bob.login,
    circle_id: circle.legacyId,
  });
  expect(olderClient.pending()).toEqual([]);
});

test('a kick from the circle ends streams and rooms after its event', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle, conversation } = await createAnnAndBob(app);
  const carl = await app.createAccount();
  await using circleEvents = await bob.subscribeToCircle(circle.id);
  await using conversationEvents = await bob.subscribeToConversation(conversation.id);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_circle', { circle_id: circle.legacyId });
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });

  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromCircle(circleId: $id, email: $email) { id } }',
    {
      id: circle.id,
      email: bob.login,
    },
  );
  expect(await circleEvents.nextOf('MemberKicked')).toMatchObject({
    user: { email: bob.login },
    by: { email: ann.login },
  });
  expect(await circleEvents.waitForEnd()).toMatchObject([
    { extensions: { code: 'FORBIDDEN', reason: 'KICKED' } },
  ]);
  expect(await conversationEvents.nextOf('ParticipantKicked')).toMatchObject({ user: { email: bob.login } });
  expect(await conversationEvents.waitForEnd()).toMatchObject([{ extensions: { reason: 'KICKED' } }]);
  expect(await legacyClient.expect('circle')).toEqual({
    event: 'kick',
    user: bob.login,
    from: ann.login,
    circle_id: circle.legacyId,
  });
  expect(await legacyClient.expect('conversation')).toEqual({
    event: 'kick',
    user: bob.login,
    from: ann.login,
    conversation_id: conversation.legacyId,
  });

  await ann.graphql.run('mutation ($id: ID!) { updateCircle(circleId: $id, name: "Without") { id } }', {
    id: circle.id,
  });
  expect(await legacyClient.expectError('join_circle', { circle_id: circle.legacyId })).toBe(
    "Vous n'appartenez pas a ce cercle",
  );
  expect(
    await legacyClient.expectError('join_conversation', { conversation_id: conversation.legacyId }),
  ).toBe('Vous ne faite pas partie de cette conversation');
  expect(legacyClient.pending()).toEqual([]);
  expect(
    await bob.graphql.expectError('query ($id: ID!) { circle(id: $id) { id } }', { id: circle.id }),
  ).toBe('NOT_FOUND');
  expect(
    await carl.graphql.expectError('query ($id: ID!) { circle(id: $id) { id } }', { id: circle.id }),
  ).toBe('NOT_FOUND');
});

test('a deleted account receives the events of its circle and conversation, and then the end of its session', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle, conversation } = await createAnnAndBob(app);
  await using inbox = await bob.subscribeToInbox();
  await using circleEvents = await bob.subscribeToCircle(circle.id);
  await using conversationEvents = await bob.subscribeToConversation(conversation.id);
  await using annCircleEvents = await ann.subscribeToCircle(circle.id);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_circle', { circle_id: circle.legacyId });
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });

  await bob.graphql.run(`mutation { deleteAccount(password: "correct horse") { id } }`);

  const sessionEnd = [{ extensions: { code: 'UNAUTHENTICATED', reason: 'ACCOUNT_DELETED' } }];
  expect(await circleEvents.next()).toMatchObject({ __typename: 'MemberLeft', user: { email: bob.login } });
  expect(await circleEvents.waitForEnd()).toMatchObject(sessionEnd);
  expect(await conversationEvents.next()).toMatchObject({ __typename: 'ParticipantLeft' });
  expect(await conversationEvents.waitForEnd()).toMatchObject(sessionEnd);
  expect(await inbox.waitForEnd()).toMatchObject(sessionEnd);
  expect([...circleEvents.pending(), ...conversationEvents.pending(), ...inbox.pending()]).toEqual([]);
  expect(await legacyClient.expect('circle')).toMatchObject({ event: 'quit', user: bob.login });
  expect(await legacyClient.expect('conversation')).toMatchObject({ event: 'quit', user: bob.login });
  expect(await legacyClient.expect('error')).toBe('User not found');
  await legacyClient.waitForDisconnect();
  expect(await annCircleEvents.next()).toMatchObject({
    __typename: 'MemberLeft',
    user: { email: bob.login },
  });
});

const READ_MESSAGES = 'query ($id: ID!) { conversation(id: $id) { messages(last: 1) { nodes { text } } } }';

test('a device that is removed, alone or with its circle, receives the event before its streams end', async () => {
  await using app = await startTestApp();
  const { ann, circle, conversation } = await createAnnAndBob(app);
  const ALLOW_DEVICE = 'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }';
  await ann.graphql.run(ALLOW_DEVICE, { id: conversation.id });
  const accountDeleted = { code: 'UNAUTHENTICATED', reason: 'ACCOUNT_DELETED' };
  {
    await using device = await createDevice(app, ann, circle);
    const circleEvents = await device.subscribeToCircle(circle.id);
    const conversationEvents = await device.subscribeToConversation(conversation.id);
    const deviceClient = await device.connectLegacy();
    await deviceClient.push('join_circle', { circle_id: circle.legacyId });
    await ann.graphql.run('mutation ($id: ID!) { removeDevice(deviceId: $id) { id } }', { id: device.id });
    expect(await circleEvents.nextOf('DeviceRemoved')).toMatchObject({ device: { id: device.id } });
    expect(await circleEvents.waitForEnd()).toMatchObject([{ extensions: accountDeleted }]);
    expect(await conversationEvents.next()).toMatchObject({
      __typename: 'DeviceAccessChanged',
      allowed: false,
    });
    expect(await conversationEvents.waitForEnd()).toMatchObject([{ extensions: accountDeleted }]);
    expect(await deviceClient.expect('circle')).toMatchObject({ event: 'device', type: 'disconnect' });
    expect(await deviceClient.expect('error')).toBe('User not found');
  }
  await using device = await createDevice(app, ann, circle);
  expect(await device.graphql.expectError(READ_MESSAGES, { id: conversation.id })).toBe('NOT_FOUND');
  await ann.graphql.run(ALLOW_DEVICE, { id: conversation.id });
  const circleEvents = await device.subscribeToCircle(circle.id);
  const conversationEvents = await device.subscribeToConversation(conversation.id);
  const deviceClient = await device.connectLegacy();
  await deviceClient.push('join_circle', { circle_id: circle.legacyId });
  await ann.graphql.run('mutation ($id: ID!) { deleteCircle(circleId: $id) { id } }', { id: circle.id });
  expect(await circleEvents.nextOf('CircleDeleted')).toMatchObject({});
  expect(await circleEvents.waitForEnd()).toMatchObject([
    { extensions: { code: 'NOT_FOUND', reason: 'DELETED' } },
  ]);
  expect(await conversationEvents.nextOf('ConversationDeleted')).toMatchObject({});
  expect(await conversationEvents.waitForEnd()).toMatchObject([{ extensions: { reason: 'DELETED' } }]);
  expect(await deviceClient.expect('circle')).toEqual({ event: 'delete', circle_id: circle.legacyId });
  expect(await deviceClient.expect('error')).toBe('User not found');
});

test('events of a conversation are visible over both APIs', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const bob = await app.createAccount();
  const carl = await app.createAccount();
  const circle = await createCircle(ann, bob, carl);
  const conversation = await createConversation(ann, circle, bob);
  const { id, legacyId } = conversation;
  await using events = await ann.subscribeToConversation(id);
  const legacyClient = await ann.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: legacyId });
  const carlClient = await carl.connectLegacy();
  const bobClient = await bob.connectLegacy();

  await ann.graphql.run(
    'mutation ($id: ID!) { updateConversation(conversationId: $id, name: "New") { id } }',
    { id },
  );
  expect(await events.next()).toMatchObject({
    __typename: 'ConversationUpdated',
    conversation: { name: 'New' },
  });
  expect(await legacyClient.expect('conversation')).toEqual({ event: 'update', conversation_id: legacyId });

  await bob.graphql.run(
    'mutation ($id: ID!, $email: String!) { inviteToConversation(conversationId: $id, email: $email) { id } }',
    {
      id,
      email: carl.login,
    },
  );
  expect(await events.next()).toMatchObject({ __typename: 'ParticipantJoined', user: { email: carl.login } });
  expect(await carlClient.expect('conversation')).toEqual({ event: 'invite', conversation_id: legacyId });

  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { promoteInConversation(conversationId: $id, email: $email) { id } }',
    {
      id,
      email: bob.login,
    },
  );
  expect(await events.next()).toMatchObject({
    __typename: 'ParticipantPromoted',
    user: { email: bob.login },
  });
  expect(await bobClient.expect('conversation')).toEqual({ event: 'promoted', conversation_id: legacyId });

  await bob.graphql.run(
    'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }',
    { id },
  );
  expect(await events.next()).toMatchObject({ __typename: 'DeviceAccessChanged', allowed: true });
  expect(await legacyClient.expect('conversation')).toEqual({
    event: 'device',
    type: 'add',
    conversation_id: legacyId,
  });
  await bob.graphql.run(
    'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: false) { id } }',
    { id },
  );
  expect(await legacyClient.expect('conversation')).toEqual({
    event: 'device',
    type: 'remove',
    conversation_id: legacyId,
  });

  await carl.graphql.run('mutation ($id: ID!) { leaveConversation(conversationId: $id) { id name } }', {
    id,
  });
  expect(await legacyClient.expect('conversation')).toEqual({
    event: 'quit',
    user: carl.login,
    conversation_id: legacyId,
  });
  expect(await events.nextOf('ParticipantLeft')).toMatchObject({ user: { email: carl.login } });
  expect(legacyClient.pending()).toEqual([]);
});

test('a conversation of two ends when one leaves', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using events = await ann.subscribeToConversation(conversation.id);
  await bob.graphql.run('mutation ($id: ID!) { leaveConversation(conversationId: $id) { id } }', {
    id: conversation.id,
  });
  expect(await events.next()).toMatchObject({ __typename: 'ParticipantLeft' });
  expect(await events.next()).toMatchObject({ __typename: 'ConversationDeleted' });
  expect(await events.waitForEnd()).toMatchObject([{ extensions: { code: 'NOT_FOUND', reason: 'DELETED' } }]);
  expect(
    await ann.graphql.expectError('query ($id: ID!) { conversation(id: $id) { id } }', {
      id: conversation.id,
    }),
  ).toBe('NOT_FOUND');
});
