import { expect, test } from 'vitest';
import { startCall } from '../../src/domain/call-participation.ts';
import type { ConnectionEnd } from '../../src/errors.ts';
import type { ConversationId } from '../../src/ids.ts';
import { CallLeases } from '../../src/services/call-leases.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, createConversation, createUser } from '../harness/domain-fixtures.ts';
import { countStatements } from '../harness/statements.ts';

const CALLS = 40;

/** Keeps a participant in each of many calls on one connection. Ending it counts the statements and the removals. */
async function openConnection() {
  const deps = await createTestDeps();
  const ann = await createUser(deps, 'Ann');
  const { actor } = ann;
  const circle = await createCircle(deps, ann);
  const statements = countStatements(deps.db);
  const removals = { running: 0, most: 0, conversations: [] as ConversationId[] };
  const leases = new CallLeases({
    db: statements.db,
    control: deps.db,
    log: deps.log,
    nodeId: deps.callLeases.nodeId,
    async removeExpired(id) {
      removals.conversations.push(id);
      removals.running += 1;
      removals.most = Math.max(removals.most, removals.running);
      await deps.db.selectFrom('calls').select('id').execute();
      removals.running -= 1;
    },
    startTimer: () => () => undefined,
  });
  const connection = new AbortController();
  const conversations: ConversationId[] = [];
  while (conversations.length < CALLS) {
    const { id: conversationId } = await createConversation(deps, circle, ann);
    const { participant } = await startCall(deps, actor, { conversationId });
    const claimed = { participantId: participant.id, conversationId };
    await leases.claim(actor, claimed, { signal: connection.signal });
    conversations.push(conversationId);
  }
  return {
    conversations,
    removals,
    async end(reason: ConnectionEnd) {
      statements.count = 0;
      connection.abort(reason);
      await leases[Symbol.asyncDispose]();
      return statements.count;
    },
  };
}

test('the leases of a connection that closes end by one statement, however many calls it has', async () => {
  const { removals, end } = await openConnection();
  expect(await end('CLIENT')).toBe(1);
  expect(removals.conversations).toEqual([]);
});

test('the participants of a session that ends are removed from two calls at a time', async () => {
  const { conversations, removals, end } = await openConnection();
  expect(await end('LOGGED_OUT')).toBe(1);
  expect(removals.conversations).toHaveLength(CALLS);
  expect(new Set(removals.conversations)).toEqual(new Set(conversations));
  expect(removals.most).toBe(2);
});
