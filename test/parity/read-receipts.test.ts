import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { createConversation } from '../../src/testing/index.ts';

const ALLOW = `mutation ($id: ID!, $allowed: Boolean!) {
  setReadReceipts(conversationId: $id, allowed: $allowed) { readReceipts }
}`;
const MARK_READ = `mutation ($id: ID!, $messageId: ID!) {
  markRead(conversationId: $id, messageId: $messageId) { id }
}`;
const RECEIPTS = `query ($id: ID!) { conversation(id: $id) {
  readReceipts deviceLastReadMessage { id }
  participants { nodes { user { id } lastReadMessage { id text } } }
} }`;
const EVENTS = `subscription ($id: ID!) { readReceipts(conversationId: $id) {
  conversationId readerId messageId participant { user { id } lastReadMessage { text } }
} }`;

test('a receipt reaches the members of a conversation that allows it, and no legacy client', async () => {
  await using app = await startTestApp();
  const { ann, bob, circle, conversation } = await createAnnAndBob(app);
  const { id } = conversation;
  const other = await createConversation(ann, circle);
  const cid = await app.createAccount();
  const join = { conversation_id: conversation.legacyId };
  const legacyClients = [await ann.connectLegacy(), await bob.connectLegacy()];
  for (const client of legacyClients) await client.push('join_conversation', join);
  await using events = await ann.subscribeToConversation(id);
  await using receipts = ann.graphql.subscribe(EVENTS, { id });
  await using ofOther = ann.graphql.subscribe(EVENTS, { id: other.id });

  expect(await ann.graphql.run(ALLOW, { id, allowed: true })).toEqual({
    setReadReceipts: { readReceipts: true },
  });
  await expect(bob.graphql.run(ALLOW, { id, allowed: false })).rejects.toThrow('"code":"FORBIDDEN"');
  expect(await events.next()).toMatchObject({ __typename: 'ConversationUpdated', conversation: { id } });
  const { sendMessage: sent } = await sendMessage(ann, conversation, 'first');
  const messageId = sent.message.id;
  for (const client of legacyClients) await client.expect('message');
  await bob.graphql.run(MARK_READ, { id, messageId });
  const receipt = { conversationId: id, readerId: bob.id, messageId };
  expect(await receipts.next()).toEqual({
    ...receipt,
    participant: { user: { id: bob.id }, lastReadMessage: { text: 'first' } },
  });
  await using later = bob.graphql.subscribe(EVENTS, { id });
  expect(await later.next()).toMatchObject(receipt);
  expect(await ann.graphql.run(RECEIPTS, { id })).toEqual({
    conversation: {
      readReceipts: true,
      deviceLastReadMessage: null,
      participants: {
        nodes: [
          { user: { id: ann.id }, lastReadMessage: null },
          { user: { id: bob.id }, lastReadMessage: { id: messageId, text: 'first' } },
        ],
      },
    },
  });
  await using ofStranger = cid.graphql.subscribe(EVENTS, { id });
  expect(await ofStranger.waitForEnd()).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);

  // Anything else would arrive before one more message.
  await ann.graphql.run(ALLOW, { id, allowed: false });
  await sendMessage(bob, conversation, 'last');
  for (const client of legacyClients) {
    expect(await client.expect('message')).toMatchObject({ message: { content: 'last' } });
    expect(client.pending()).toEqual([]);
  }
  expect(ofOther.pending()).toEqual([]);
});

test('a conversation can be created with read receipts', async () => {
  await using app = await startTestApp();
  const { ann, circle } = await createAnnAndBob(app);
  const create = (argument: string) =>
    ann.graphql.run(
      `mutation ($id: ID!) { createConversation(circleId: $id, name: "Talk"${argument}) { readReceipts } }`,
      { id: circle.id },
    );
  expect(await create('')).toEqual({ createConversation: { readReceipts: false } });
  expect(await create(', readReceipts: true')).toEqual({ createConversation: { readReceipts: true } });
});

test('a kicked member receives no receipt any more', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { id } = conversation;
  await ann.graphql.run(ALLOW, { id, allowed: true });
  const { sendMessage: sent } = await sendMessage(ann, conversation, 'first');
  await using receipts = bob.graphql.subscribe(EVENTS, { id });
  await bob.graphql.run(MARK_READ, { id, messageId: sent.message.id });
  expect(await receipts.next()).toMatchObject({ readerId: bob.id });
  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
    { id, email: bob.login },
  );
  expect(await receipts.waitForEnd()).toMatchObject([{ extensions: { reason: 'KICKED' } }]);
});
