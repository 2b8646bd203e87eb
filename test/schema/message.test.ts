import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { seedConversation } from './seed-conversation.ts';
import { openSchemaClient } from './schema-client.ts';
import type { SchemaClient } from './schema-client.ts';
import type { ActorRef } from '../../src/actor.ts';

const SEND_MESSAGE =
  'mutation ($id: ID!, $text: String, $files: [String!], $key: String) { sendMessage(conversationId: $id, text: $text, files: $files, idempotencyKey: $key) { message { id text status mediaCount author { __typename } media { identifier } } media { id identifier uploaded } } }';

async function sendMessages(
  client: SchemaClient,
  actor: ActorRef,
  conversation: string,
  count: number,
): Promise<void> {
  for (let index = 1; index <= count; index += 1)
    await client.run(actor, SEND_MESSAGE, { id: conversation, text: `${index}` });
}

const PAGE =
  'query ($id: ID!, $first: Int, $last: Int, $after: String, $before: String) { conversation(id: $id) { messages(first: $first, last: $last, after: $after, before: $before) { nodes { text } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }';

test('messages are paged in both directions, newest last', async () => {
  await using client = await openSchemaClient();
  const { ann, conversation: id } = await seedConversation(client);
  await sendMessages(client, ann, id, 23);
  const readPage = async (args: object) => {
    const { messages } = (await client.run(ann, PAGE, { id, ...args })).conversation;
    return { ...messages.pageInfo, texts: messages.nodes.map(({ text }: { text: string }) => Number(text)) };
  };
  const newest = await readPage({});
  expect(newest).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
  expect(newest.texts).toEqual(Array.from({ length: 20 }, (_, index) => index + 4));
  const older = await readPage({ last: 20, before: newest.startCursor });
  expect(older).toMatchObject({ texts: [1, 2, 3], hasPreviousPage: false, hasNextPage: true });
  const oldest = await readPage({ first: 2 });
  expect(oldest).toMatchObject({ texts: [1, 2], hasNextPage: true, hasPreviousPage: false });
  expect(await readPage({ first: 2, after: oldest.endCursor })).toMatchObject({
    texts: [3, 4],
    hasPreviousPage: true,
  });
  expect(await readPage({ last: 3, after: oldest.endCursor })).toMatchObject({ texts: [21, 22, 23] });
  expect(await readPage({ first: 0 })).toMatchObject({ texts: [], hasNextPage: true, startCursor: null });
  expect(await client.expectError(ann, PAGE, { id, last: 101 })).toMatchObject({ code: 'LIMIT_EXCEEDED' });
  expect(await client.expectError(ann, PAGE, { id, before: 'x' })).toMatchObject({
    code: 'INVALID_INPUT',
    field: 'before',
  });
});

test('a message and its files show their state after sending, upload and deletion', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, conversation: id } = await seedConversation(client);
  const { sendMessage } = await client.run(ann, SEND_MESSAGE, { id, files: ['a.png', 'b.png'], key: 'one' });
  expect(sendMessage).toMatchObject({
    message: { text: '', status: 'PENDING', mediaCount: 2, author: { __typename: 'User' } },
    media: [
      { identifier: 'a.png', uploaded: false },
      { identifier: 'b.png', uploaded: false },
    ],
  });
  expect(await client.run(ann, SEND_MESSAGE, { id, text: 'repeated', key: 'one' })).toEqual({ sendMessage });
  const { uploadMedia } = await client.run(
    ann,
    'mutation ($id: ID!, $file: Upload!) { uploadMedia(mediaId: $id, file: $file) { uploaded uploadedAt size url message { status media { uploaded } } } }',
    {
      id: sendMessage.media[0].id,
      file: { filename: 'a.png', content: Readable.from([Buffer.from('12345')]) },
    },
  );
  expect(uploadMedia).toMatchObject({
    uploaded: true,
    size: 5,
    message: { status: 'PENDING', media: [{ uploaded: true }, { uploaded: false }] },
  });
  const { message } = await client.run(
    bob,
    'query ($id: ID!) { message(id: $id) { text author { ... on User { firstName } } participant { role user { firstName } } conversation { name } media { id message { id } } } }',
    { id: sendMessage.message.id },
  );
  expect(message).toMatchObject({
    author: { firstName: 'Ann' },
    participant: { role: 'ADMIN', user: { firstName: 'Ann' } },
    conversation: { name: 'Talk' },
    media: [{ message: { id: sendMessage.message.id } }, {}],
  });
  const response = await client.run(
    ann,
    'mutation ($id: ID!) { deleteMessage(messageId: $id) { id text sentAt updatedAt mediaCount status media { id } author { __typename } conversation { name } } }',
    { id: sendMessage.message.id },
  );
  expect(response.deleteMessage).toMatchObject({ mediaCount: 2, media: [], author: { __typename: 'User' } });
});

test('a message remains after its author’s account is deleted', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, circle, conversation: id } = await seedConversation(client);
  await client.run(ann, 'mutation ($id: ID!) { addDevice(circleId: $id, name: "Kitchen") { username } }', {
    id: circle,
  });
  await client.run(
    ann,
    'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }',
    {
      id,
    },
  );
  await client.run(bob, SEND_MESSAGE, { id, text: 'Bye' });
  const { deleteAccount } = await client.run(
    bob,
    'mutation { deleteAccount(password: "correct horse") { email firstName circles { nodes { id } } isOnline } }',
  );
  expect(deleteAccount).toMatchObject({ firstName: 'Bob', circles: { nodes: [] } });
  const { conversation } = await client.run(
    ann,
    'query ($id: ID!) { conversation(id: $id) { messages { nodes { text author { __typename } participant { id } } } } }',
    { id },
  );
  expect(conversation.messages.nodes).toEqual([{ text: 'Bye', author: null, participant: null }]);
});

test('an Upload must be a file of a multipart request', async () => {
  await using client = await openSchemaClient();
  const { ann } = await seedConversation(client);
  await expect(
    client.run(ann, 'mutation ($file: Upload!) { uploadMedia(mediaId: "Media:1", file: $file) { id } }', {
      file: 'text',
    }),
  ).rejects.toThrow('not a file');
});
