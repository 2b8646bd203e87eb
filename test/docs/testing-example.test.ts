import { expect, test } from 'vitest';
import { createCircle, createConversation, createGateway } from '../../src/testing/index.ts';

test('a legacy client and a GraphQL client exchange messages', async () => {
  await using gateway = await createGateway();
  const ann = await gateway.createAccount({ firstName: 'Ann' });
  const bob = await gateway.createAccount({ firstName: 'Bob' });
  const circle = await createCircle(ann, bob);
  const talk = await createConversation(ann, circle, bob);

  await using events = await ann.subscribeToConversation(talk.id); // graphql-ws, live when this resolves
  const phone = await bob.connectLegacy(); // socket.io-client, authenticated
  await phone.push('join_conversation', { conversation_id: talk.legacyId });
  await phone.push('message', { conversation_id: talk.legacyId, text_message: 'hello' });

  expect(await events.next()).toMatchObject({ __typename: 'MessageSent', message: { text: 'hello' } });
  expect(await phone.expect('message')).toMatchObject({ message: { content: 'hello' }, status: 'done' });
});
