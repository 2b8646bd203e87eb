import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';

const MARK_READ = `mutation ($id: ID!, $messageId: ID!) {
  markRead(conversationId: $id, messageId: $messageId) { unreadCount lastReadMessage { id text } }
}`;

test('a mark reaches the sessions of the account, and neither legacy clients nor other accounts', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const join = { conversation_id: conversation.legacyId };
  const legacyClients = [await ann.connectLegacy(), await bob.connectLegacy()];
  for (const client of legacyClients) await client.push('join_conversation', join);
  await using inbox = await bob.subscribeToInbox();
  await using secondInbox = await bob.subscribeToInbox();
  await using inboxOfAnn = await ann.subscribeToInbox();
  await using events = await ann.subscribeToConversation(conversation.id);
  const { sendMessage: first } = await sendMessage(ann, conversation, 'first');
  await sendMessage(ann, conversation, 'second');
  for (const client of legacyClients) for (const _ of [1, 2]) await client.expect('message');

  const variables = { id: conversation.id, messageId: first.message.id };
  expect(await bob.graphql.run(MARK_READ, variables)).toEqual({
    markRead: { unreadCount: 1, lastReadMessage: { id: first.message.id, text: 'first' } },
  });
  for (const stream of [inbox, secondInbox])
    expect(await stream.next()).toMatchObject({
      __typename: 'ReadStateChanged',
      conversationId: conversation.id,
      messageId: first.message.id,
    });
  // Anything else would arrive before one more message.
  await sendMessage(bob, conversation, 'last');
  for (const client of legacyClients) {
    expect(await client.expect('message')).toMatchObject({ message: { content: 'last' } });
    expect(client.pending()).toEqual([]);
  }
  for (const text of ['first', 'second', 'last'])
    expect(await events.next()).toMatchObject({ message: { text } });
  expect(inboxOfAnn.pending()).toEqual([]);
});

test('a former participant is shown no read state', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { sendMessage: sent } = await sendMessage(ann, conversation, 'hello');
  await bob.graphql.run(MARK_READ, { id: conversation.id, messageId: sent.message.id });
  await sendMessage(ann, conversation, 'unread');
  const left = await bob.graphql.run(
    'mutation ($id: ID!) { leaveConversation(conversationId: $id) { unreadCount lastReadMessage { id } } }',
    { id: conversation.id },
  );
  expect(left).toEqual({ leaveConversation: { unreadCount: 0, lastReadMessage: null } });
});
