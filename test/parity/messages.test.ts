import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';

const TEXTS = ['hello', 'é€😀'];
/** Texts that legacy clients may also send. */
const BLANK_TEXTS = ['', ' \n', '\u200b'];

test.each([...TEXTS, ...BLANK_TEXTS])(
  'a message %j sent over Socket.IO is received over both APIs, once',
  async (text) => {
    await using app = await startTestApp();
    const { ann, bob, circle, conversation } = await createAnnAndBob(app);
    await using events = await bob.subscribeToConversation(conversation.id);
    const legacyClient = await bob.connectLegacy();
    await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
    const annClient = await ann.connectLegacy();
    await annClient.push('join_circle', { circle_id: circle.legacyId });
    await annClient.push('join_conversation', { conversation_id: conversation.legacyId });

    const receipt = await annClient.push<{ received: true; message_id: number }>('message', {
      conversation_id: conversation.legacyId,
      text_message: text,
    });
    expect(receipt).toEqual({ received: true, message_id: expect.any(Number) });

    const event = await events.nextOf('MessageSent');
    expect(event).toMatchObject({
      message: { legacyId: receipt.message_id, text, author: { email: ann.login } },
    });
    for (const client of [legacyClient, annClient]) {
      expect(await client.expect('message')).toMatchObject({
        conversation_id: conversation.legacyId,
        message: { id: receipt.message_id, content: text, medias: 0 },
        sender: { email: ann.login },
        media_list: [],
        status: 'done',
      });
    }
    // A duplicate would arrive before one more message.
    await sendMessage(ann, conversation, 'last');
    expect(await events.next()).toMatchObject({ message: { text: 'last' } });
    for (const client of [legacyClient, annClient]) {
      expect(await client.expect('message')).toMatchObject({ message: { content: 'last' } });
      expect(client.pending()).toEqual([]);
    }
  },
);

test.each([...BLANK_TEXTS, '\u3164\u2800', '\u0301'])(
  'a message %j without files is rejected by GraphQL, as a new message and as an edit',
  async (text) => {
    await using app = await startTestApp();
    const { ann, conversation } = await createAnnAndBob(app);
    const SEND_MESSAGE =
      'mutation ($id: ID!, $text: String, $files: [String!]) { sendMessage(conversationId: $id, text: $text, files: $files) { message { id } } }';
    const send = (variables: object) => ann.graphql.send(SEND_MESSAGE, { id: conversation.id, ...variables });
    const UPDATE_MESSAGE =
      'mutation ($id: ID!, $text: String!) { updateMessage(messageId: $id, text: $text) { text } }';
    const update = (id: string) => ann.graphql.send(UPDATE_MESSAGE, { id, text });
    const invalidText = { errors: [{ extensions: { code: 'INVALID_INPUT', field: 'text' } }] };
    for (const variables of [{ text }, { text, files: [] }, { text, files: null }, {}, { text: null }]) {
      expect(await send(variables)).toMatchObject(invalidText);
    }
    const sendForId = async (variables: object): Promise<string> => {
      const { sendMessage } = await ann.graphql.run<{ sendMessage: { message: { id: string } } }>(
        SEND_MESSAGE,
        {
          id: conversation.id,
          ...variables,
        },
      );
      return sendMessage.message.id;
    };
    expect(await update(await sendForId({ text: 'Hi' }))).toMatchObject(invalidText);
    expect(await update(await sendForId({ text, files: ['a.png'] }))).toMatchObject({
      data: { updateMessage: { text } },
    });
  },
);

test.each(TEXTS)('a message %j sent over GraphQL is received over both APIs, once', async (text) => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using events = await bob.subscribeToConversation(conversation.id);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });

  const { sendMessage: result } = await sendMessage(ann, conversation, text);
  expect(await events.nextOf('MessageSent')).toMatchObject({ message: { id: result.message.id, text } });
  expect(await legacyClient.expect('message')).toMatchObject({
    message: { id: result.message.legacyId, content: text },
    status: 'done',
  });
  await sendMessage(ann, conversation, 'last');
  expect(await legacyClient.expect('message')).toMatchObject({ message: { content: 'last' } });
  expect(legacyClient.pending()).toEqual([]);
  expect(events.pending()).toHaveLength(1);
});

test('an update and a deletion are received over both APIs', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { sendMessage: result } = await sendMessage(ann, conversation, 'first');
  await using events = await bob.subscribeToConversation(conversation.id);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });

  const { id, legacyId } = result.message;
  await ann.graphql.run('mutation ($id: ID!) { updateMessage(messageId: $id, text: "second") { text } }', {
    id,
  });
  expect(await events.next()).toMatchObject({
    __typename: 'MessageUpdated',
    message: { id, text: 'second' },
  });
  expect(await legacyClient.expect('message')).toEqual({
    conversation_id: conversation.legacyId,
    message_id: legacyId,
    event: 'update',
  });

  await ann.graphql.run('mutation ($id: ID!) { deleteMessage(messageId: $id) { text } }', { id });
  expect(await events.next()).toMatchObject({ __typename: 'MessageDeleted', messageId: id });
  expect(await legacyClient.expect('message')).toEqual({
    conversation_id: conversation.legacyId,
    message_id: legacyId,
    event: 'delete',
  });
});

test('messages of one legacy connection arrive in the order sent', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using events = await bob.subscribeToConversation(conversation.id);
  const annClient = await app.connectLegacy();
  annClient.emit('authenticate', { token: ann.token });
  annClient.emit('join_conversation', { conversation_id: conversation.legacyId });
  for (let index = 0; index < 20; index += 1) {
    annClient.emit('message', { conversation_id: conversation.legacyId, text_message: `m${index}` });
  }
  for (let index = 0; index < 20; index += 1) {
    expect(await events.next()).toMatchObject({ message: { text: `m${index}` } });
    expect(await annClient.expect('message')).toMatchObject({ message: { content: `m${index}` } });
  }
});
