import { expect, inject, test } from 'vitest';
import { createCircle, createConversation, createGateway } from '../../src/testing/index.ts';
import { CALL_EVENTS, readCalls, startCall, subscribeToCalls } from '../harness/calls.ts';
import { openTestDatabase } from '../harness/database.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { startServer } from '../harness/server.ts';

/** A participant whose node was killed has left within this time. */
const MAX_GHOST_MS = 20_000;

test.skipIf(inject('database') !== 'postgres')(
  'the participants of a node that is killed have left, but for those that return on another one',
  { timeout: 60_000 },
  async () => {
    const { url: DATABASE_URL = '' } = await openTestDatabase();
    const env = { AUTH_SECRET: 'shared by both nodes, for their accounts', DATABASE_URL };
    await using other = await startServer(env);
    await using gateway = await createGateway({ env });
    const [ann, bob] = [await gateway.createAccount(), await gateway.createAccount()];
    const conversation = await createConversation(ann, await createCircle(ann, bob), bob);
    const [lost, returning, own] = [
      await startCall(ann, conversation),
      await startCall(ann, conversation),
      await startCall(bob, conversation),
    ];
    const keepOn = async (url: string, participantId: string) => {
      const socket = await openGraphqlSocket(url, { token: ann.token });
      const variables = { id: conversation.id, participantId };
      socket.send({ id: 'calls', type: 'subscribe', payload: { query: CALL_EVENTS, variables } });
      await socket.nextOf('next');
      return socket;
    };
    await using _lost = await keepOn(other.url, lost.participant.id);
    await using _returning = await keepOn(other.url, returning.participant.id);
    await using events = await subscribeToCalls(bob, conversation, { participantId: own.participant.id });
    await other.stop('SIGKILL');
    await using _returned = await keepOn(gateway.url, returning.participant.id);
    expect(
      await events.next(({ __typename }) => __typename === 'CallParticipantLeft', MAX_GHOST_MS),
    ).toMatchObject({ reason: 'DISCONNECTED', participant: { id: lost.participant.id } });
    expect((await readCalls(bob, conversation))[0]?.participants.map(({ id }) => id)).toEqual([
      returning.participant.id,
      own.participant.id,
    ]);
  },
);
