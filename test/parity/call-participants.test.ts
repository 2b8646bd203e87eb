import { expect, test } from 'vitest';
import { createConversation, createDevice } from '../../src/testing/index.ts';
import type { Entity, TestAccount } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import {
  joinCall,
  leaveCall,
  readCalls,
  startCall,
  subscribeToCalls,
  CALL_EVENTS,
} from '../harness/calls.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { waitQuietPeriod } from '../harness/waiting.ts';

/** Longer than the lease of a participant and the time until it is found. */
const LEASE_TIMEOUT_MS = 15_000;

test('participants join and leave a call, which ends with the last one', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using events = await subscribeToCalls(bob, conversation);
  const first = await startCall(ann, conversation);
  expect(await events.next()).toMatchObject({ __typename: 'CallStarted', callId: first.call.id });
  expect(await events.next()).toMatchObject({
    __typename: 'CallParticipantJoined',
    callId: first.call.id,
    participant: { id: first.participant.id, actor: { email: ann.login } },
  });
  const second = await joinCall(bob, first.call.id);
  expect(await events.next()).toMatchObject({ participant: { actor: { email: bob.login } } });
  expect(await readCalls(ann, conversation)).toEqual([
    {
      id: first.call.id,
      participants: [
        { id: first.participant.id, actor: { id: ann.id } },
        { id: second.participant.id, actor: { id: bob.id } },
      ],
    },
  ]);

  expect(await leaveCall(ann, first.participant.id)).toMatchObject({
    leaveCall: { participants: [{ id: second.participant.id }] },
  });
  expect(await events.next()).toMatchObject({ __typename: 'CallParticipantLeft', reason: 'LEFT' });
  await leaveCall(bob, second.participant.id);
  expect(await events.nextOf('CallEnded')).toMatchObject({ callId: first.call.id });
  expect(await readCalls(ann, conversation)).toEqual([]);
  expect(
    await bob.graphql.expectError(`mutation { joinCall(callId: "${first.call.id}") { call { id } } }`),
  ).toBe('NOT_FOUND');

  await using replay = await subscribeToCalls(ann, conversation, { after: first.call.eventCursor });
  expect(await replay.nextOf('CallEnded')).toMatchObject({ callId: first.call.id });
});

test('two accounts that start a call at the same time are in the same one, and a retry joins once', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle, conversation } = await createAnnAndBob(app);
  const device = await createDevice(app, ann, circle);
  const started = await Promise.all([
    startCall(ann, conversation, 'phone'),
    startCall(bob, conversation),
    startCall(ann, conversation, 'phone'),
    startCall(ann, conversation, 'tablet'),
  ]);
  expect(new Set(started.map(({ call }) => call.id)).size).toBe(1);
  expect(started[0].participant.id).toBe(started[2].participant.id);
  expect((await readCalls(ann, conversation))[0]?.participants).toHaveLength(3);
  expect(await device.graphql.run('{ calls { id } }')).toEqual({ calls: [] });
  await ann.graphql.run(
    `mutation { setDeviceAccess(conversationId: "${conversation.id}", allowed: true) { id } }`,
  );
  expect(await device.graphql.run('{ calls { id } }')).toEqual({ calls: [{ id: started[0].call.id }] });
});

test('a participant leaves after its connection is lost, unless a stream on another one keeps it', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using events = await subscribeToCalls(bob, conversation);
  const { call, participant } = await startCall(ann, conversation);
  const open = async () => {
    const socket = await openGraphqlSocket(app.url, { token: ann.token });
    const variables = { id: conversation.id, participantId: participant.id };
    socket.send({ id: 'calls', type: 'subscribe', payload: { query: CALL_EVENTS, variables } });
    await socket.nextOf('next');
    return socket;
  };
  await using phone = await open();
  phone.socket.terminate();
  await using tablet = await open();
  // Longer than the grace period of the phone.
  await waitQuietPeriod(10_500);
  expect(events.pending().map(({ __typename }) => __typename)).toEqual([
    'CallStarted',
    'CallParticipantJoined',
  ]);
  tablet.socket.terminate();
  expect(
    await events.next(({ __typename }) => __typename === 'CallParticipantLeft', LEASE_TIMEOUT_MS),
  ).toMatchObject({ reason: 'DISCONNECTED', participant: { id: participant.id } });
  expect(await events.nextOf('CallEnded')).toMatchObject({ callId: call.id });
});

test('a participant that joined over a WebSocket leaves after that is lost, or immediately when logged out', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using events = await subscribeToCalls(bob, conversation);
  const join = async () => {
    const socket = await openGraphqlSocket(app.url, { token: ann.token });
    const query = `mutation { startCall(conversationId: "${conversation.id}") { participant { id } } }`;
    socket.send({ id: 'start', type: 'subscribe', payload: { query } });
    await socket.nextOf('complete');
    return socket;
  };
  await using lost = await join();
  await events.nextOf('CallParticipantJoined');
  lost.socket.terminate();
  expect(
    await events.next(({ __typename }) => __typename === 'CallParticipantLeft', LEASE_TIMEOUT_MS),
  ).toMatchObject({ reason: 'DISCONNECTED' });
  await using loggedOut = await join();
  await events.nextOf('CallParticipantJoined');
  await ann.graphql.run('mutation { logout }');
  await loggedOut.waitForClose();
  await events.nextOf('CallParticipantLeft');
});

test('a participant whose account is deleted has left, and the log has no name of it', async () => {
  await using app = await startTestApp();
  const { ann, circle } = await createAnnAndBob(app);
  const [cleo, dan] = [await app.createAccount({ password: 'correct horse' }), await app.createAccount()];
  await addMember(ann, cleo, circle);
  await addMember(ann, dan, circle);
  const conversation = await createConversation(ann, circle, cleo, dan);
  await using events = await subscribeToCalls(ann, conversation);
  const { call, participant } = await startCall(cleo, conversation);
  const start = await events.nextOf('CallStarted');
  await cleo.graphql.run('mutation { deleteAccount(password: "correct horse") { id } }');
  expect(await events.nextOf('CallParticipantLeft')).toMatchObject({
    callId: call.id,
    reason: 'REMOVED',
    participant: { id: participant.id, actor: null },
  });
  await using replay = await subscribeToCalls(ann, conversation, { after: String(start['cursor']) });
  expect(await replay.next()).toMatchObject({
    __typename: 'CallParticipantJoined',
    participant: { id: participant.id, actor: { email: '' } },
  });
});

test('a participant that is kicked has left, and its stream ends', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle, conversation } = await createAnnAndBob(app);
  const cleo = await app.createAccount();
  await addMember(ann, cleo, circle);
  await ann.graphql.run(
    `mutation { inviteToConversation(conversationId: "${conversation.id}", email: "${cleo.login}") { id } }`,
  );
  await using events = await subscribeToCalls(ann, conversation);
  const own = await startCall(bob, conversation);
  await joinCall(cleo, own.call.id);
  await using kept = await subscribeToCalls(bob, conversation, { participantId: own.participant.id });
  await ann.graphql.run(
    `mutation { kickFromConversation(conversationId: "${conversation.id}", email: "${bob.login}") { id } }`,
  );
  expect((await kept.waitForEnd())[0]?.extensions).toMatchObject({ reason: 'KICKED' });
  expect(await events.nextOf('CallParticipantLeft')).toMatchObject({
    reason: 'REMOVED',
    participant: { id: own.participant.id },
  });
  expect(await bob.graphql.expectError(`{ calls(conversationId: "${conversation.id}") { id } }`)).toBe(
    'NOT_FOUND',
  );
});

async function addMember(owner: TestAccount, account: TestAccount, { id }: Entity): Promise<void> {
  await owner.graphql.run(`mutation { inviteToCircle(circleId: "${id}", email: "${account.login}") { id } }`);
  const { me } = await account.graphql.run<{ me: { invitations: { nodes: { id: string }[] } } }>(
    '{ me { ... on User { invitations { nodes { id } } } } }',
  );
  const [invitation] = me.invitations.nodes;
  await account.graphql.run(`mutation { acceptCircleInvitation(invitationId: "${invitation?.id}") { id } }`);
}
