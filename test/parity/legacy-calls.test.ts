import { expect, test } from 'vitest';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { leaveCall, readCalls, startCall, subscribeToCalls } from '../harness/calls.ts';

const OFFER = { type: 'sdp', data: { type: 'offer', sdp: 'v=0' } };
const ANSWER = { type: 'sdp', data: { type: 'answer', sdp: 'v=0' } };
/** A killed client has left within this time. */
const MAX_GHOST_MS = 15_000;

test('two legacy clients are in a call from offer and answer to the hang-up, and receive what they did before', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle, conversation } = await createAnnAndBob(app);
  const other = await createConversation(ann, circle, bob);
  expect(other.legacyId).toBeGreaterThan(conversation.legacyId);
  await using events = await subscribeToCalls(ann, other);
  const [caller, callee] = [await ann.connectLegacy(), await bob.connectLegacy()];
  const forward = async (message: unknown) => {
    expect(await caller.push('webrtc_forward', { email: bob.login, message })).toBe('Message forwarded');
    expect(await callee.expect('webrtc_forward')).toMatchObject({ content: { message } });
    expect(await callee.expect('webrtc_config')).toMatchObject({ content: { message } });
  };
  await forward('CALLING');
  await forward(OFFER);
  expect(await events.next()).toMatchObject({ __typename: 'CallStarted' });
  expect(await events.next()).toMatchObject({
    __typename: 'CallParticipantJoined',
    participant: { actor: { email: ann.login } },
  });
  await callee.push('webrtc_forward', { user_id: ann.legacyId, message: ANSWER });
  expect(await events.next()).toMatchObject({
    __typename: 'CallParticipantJoined',
    participant: { actor: { email: bob.login } },
  });
  // Each again, as after a change of the network.
  await forward(OFFER);
  expect((await readCalls(bob, other))[0]?.participants).toHaveLength(2);
  await forward('QUITTING');
  expect(await events.next()).toMatchObject({ reason: 'LEFT', participant: { actor: { email: ann.login } } });
  expect(await events.next()).toMatchObject({ reason: 'LEFT', participant: { actor: { email: bob.login } } });
  expect(await events.next()).toMatchObject({ __typename: 'CallEnded' });
  expect(callee.pending()).toEqual([]);
});

test('a legacy client joins the call that its account was called in, and leaves when it is killed', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle, conversation } = await createAnnAndBob(app);
  await createConversation(ann, circle, bob);
  const { call, participant } = await startCall(ann, conversation);
  await using events = await subscribeToCalls(ann, conversation, { participantId: participant.id });
  const legacyClient = await bob.connectLegacy();
  await using _signals = ann.graphql.subscribe('subscription { signals { content } }');
  await ann.graphql.run(
    'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }',
    { to: { userId: bob.id }, content: { message: OFFER } },
  );
  await legacyClient.expect('webrtc_forward');
  await legacyClient.push('webrtc_forward', { user_id: ann.legacyId, message: ANSWER });
  expect(await events.nextOf('CallParticipantJoined')).toMatchObject({
    callId: call.id,
    participant: { actor: { email: bob.login } },
  });
  legacyClient.close();
  expect(
    await events.next(({ __typename }) => __typename === 'CallParticipantLeft', MAX_GHOST_MS),
  ).toMatchObject({ reason: 'DISCONNECTED', participant: { actor: { email: bob.login } } });
  await leaveCall(ann, participant.id);
  await events.nextOf('CallEnded');
});

test('an offer that reaches no one, or to an account without a common conversation, starts no call', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const caller = await ann.connectLegacy();
  await caller.expectError('webrtc_forward', { email: bob.login, message: OFFER });
  expect(await readCalls(ann, conversation)).toEqual([]);
  const cleo = await app.createAccount();
  await createCircle(ann, cleo);
  await cleo.connectLegacy();
  await caller.push('webrtc_forward', { email: cleo.login, message: OFFER });
  await caller.push('webrtc_forward', { email: ann.login, message: 'QUITTING' });
  expect(await ann.graphql.run('{ calls { id } }')).toEqual({ calls: [] });
});
