import { expect, test } from 'vitest';
import { createCircle, createConversation, createGateway } from '../../src/testing/index.ts';

test('a legacy client and a GraphQL client exchange messages', async () => {
  await using gateway = await createGateway();
  const ann = await gateway.createAccount({ firstName: 'Ann' });
  const bob = await gateway.createAccount({ firstName: 'Bob' });
  const circle = await createCircle(ann, bob);
  const conversation = await createConversation(ann, circle, bob);

  await using events = await ann.subscribeToConversation(conversation.id); // graphql-ws, live when this resolves
  const legacyClient = await bob.connectLegacy(); // socket.io-client, authenticated
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  await legacyClient.push('message', { conversation_id: conversation.legacyId, text_message: 'hello' });

  expect(await events.next()).toMatchObject({ __typename: 'MessageSent', message: { text: 'hello' } });
  expect(await legacyClient.expect('message')).toMatchObject({
    message: { content: 'hello' },
    status: 'done',
  });
});
