import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { readCalls } from '../harness/calls.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

// test/browser/calls.test.ts runs the snippet with `connectCall`.

interface Started {
  readonly startCall: { readonly call: { id: string }; readonly participant: { readonly id: string } };
}

test('the operations of docs/calls.md start a call, stay in it, and follow who joins and leaves', async () => {
  const [start = '', follow = '', ...others] = findCodeBlocks(
    await readProjectFile('docs/calls.md'),
    'graphql',
  );
  expect(others).toEqual([]);
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const inConversation = (text: string) => text.replace('Conversation:12', conversation.id);
  const first = await ann.graphql.run<Started>(inConversation(start));
  const { call, participant } = first.startCall;
  expect(call).toEqual({
    id: call.id,
    participants: [{ id: participant.id, actor: { firstName: 'Ann' } }],
  });
  const { startCall: retried } = await ann.graphql.run<Started>(inConversation(start));
  expect(retried.participant).toEqual(participant);
  await using events = ann.graphql.subscribe(
    inConversation(follow).replace('CallParticipant:7', participant.id),
  );
  await events.nextOf('StreamLive');
  const { startCall: joined } = await bob.graphql.run<Started>(inConversation(start));
  expect(await events.next()).toMatchObject({
    __typename: 'CallParticipantJoined',
    participant: joined.participant,
  });
  await bob.graphql.run(`mutation { leaveCall(participantId: "${joined.participant.id}") { id } }`);
  expect(await events.next()).toMatchObject({
    __typename: 'CallParticipantLeft',
    reason: 'LEFT',
    participant: joined.participant,
  });
  expect(await readCalls(ann, conversation)).toMatchObject([{ participants: [participant] }]);
});

test('the settings of docs/calls.md are those of the TURN server', async () => {
  const [block = ''] = findCodeBlocks(await readProjectFile('docs/calls.md'), 'sh');
  const settings = Object.fromEntries(
    block
      .trim()
      .split('\n')
      .map((line) => line.split(/=(.*)/).slice(0, 2)),
  );
  expect(readConfig(settings as Record<string, string>)).toMatchObject({
    STUN_URLS: ['stun:turn.example.com:3478'],
    TURN_URLS: ['turn:turn.example.com:3478', 'turns:turn.example.com:5349?transport=tcp'],
    TURN_SECRET: ['a-long-random-secret'],
  });
});
