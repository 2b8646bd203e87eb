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
    await using reader = await bob.subscribeToConversation(conversation.id);
    const phone = await bob.connectLegacy();
    await phone.push('join_conversation', { conversation_id: conversation.legacyId });
    const sender = await ann.connectLegacy();
    await sender.push('join_circle', { circle_id: circle.legacyId });
    await sender.push('join_conversation', { conversation_id: conversation.legacyId });

    const receipt = await sender.push<{ received: true; message_id: number }>('message', {
      conversation_id: conversation.legacyId,
      text_message: text,
    });
    expect(receipt).toEqual({ received: true, message_id: expect.any(Number) });

    const seen = await reader.nextOf('MessageSent');
    expect(seen).toMatchObject({
      message: { legacyId: receipt.message_id, text, author: { email: ann.login } },
    });
    for (const frames of [phone, sender]) {
      expect(await frames.expect('message')).toMatchObject({
        conversation_id: conversation.legacyId,
        message: { id: receipt.message_id, content: text, medias: 0 },
        sender: { email: ann.login },
        media_list: [],
        status: 'done',
      });
    }
    // One more message flushes what might have come twice.
    await sendMessage(ann, conversation, 'last');
    expect(await reader.next()).toMatchObject({ message: { text: 'last' } });
    for (const frames of [phone, sender]) {
      expect(await frames.expect('message')).toMatchObject({ message: { content: 'last' } });
      expect(frames.pending()).toEqual([]);
    }
  },
);

test.each([...BLANK_TEXTS, '\u3164\u2800', '\u0301'])(
  'a message %j without files is refused by GraphQL, as a new message and as an edit',
  async (text) => {
    await using app = await startTestApp();
    const { ann, conversation } = await createAnnAndBob(app);
    const SEND =
      'mutation ($id: ID!, $text: String, $files: [String!]) { sendMessage(conversationId: $id, text: $text, files: $files) { message { id } } }';
    const send = (variables: object) => ann.graphql.send(SEND, { id: conversation.id, ...variables });
    const UPDATE =
      'mutation ($id: ID!, $text: String!) { updateMessage(messageId: $id, text: $text) { text } }';
    const update = (id: string) => ann.graphql.send(UPDATE, { id, text });
    const refusal = { errors: [{ extensions: { code: 'INVALID_INPUT', field: 'text' } }] };
    for (const variables of [{ text }, { text, files: [] }, { text, files: null }, {}, { text: null }]) {
      expect(await send(variables)).toMatchObject(refusal);
    }
    const idOf = async (variables: object): Promise<string> => {
      const { sendMessage } = await ann.graphql.run<{ sendMessage: { message: { id: string } } }>(SEND, {
        id: conversation.id,
        ...variables,
      });
      return sendMessage.message.id;
    };
    expect(await update(await idOf({ text: 'Hi' }))).toMatchObject(refusal);
    expect(await update(await idOf({ text, files: ['a.png'] }))).toMatchObject({
      data: { updateMessage: { text } },
    });
  },
);

test.each(TEXTS)('a message %j sent over GraphQL is received over both APIs, once', async (text) => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using reader = await bob.subscribeToConversation(conversation.id);
  const phone = await bob.connectLegacy();
  await phone.push('join_conversation', { conversation_id: conversation.legacyId });

  const { sendMessage: sent } = await sendMessage(ann, conversation, text);
  expect(await reader.nextOf('MessageSent')).toMatchObject({ message: { id: sent.message.id, text } });
  expect(await phone.expect('message')).toMatchObject({
    message: { id: sent.message.legacyId, content: text },
    status: 'done',
  });
  await sendMessage(ann, conversation, 'last');
  expect(await phone.expect('message')).toMatchObject({ message: { content: 'last' } });
  expect(phone.pending()).toEqual([]);
  expect(reader.pending()).toHaveLength(1);
});

test('an update and a deletion are received over both APIs', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { sendMessage: sent } = await sendMessage(ann, conversation, 'first');
  await using reader = await bob.subscribeToConversation(conversation.id);
  const phone = await bob.connectLegacy();
  await phone.push('join_conversation', { conversation_id: conversation.legacyId });

  const { id, legacyId } = sent.message;
  await ann.graphql.run('mutation ($id: ID!) { updateMessage(messageId: $id, text: "second") { text } }', {
    id,
  });
  expect(await reader.next()).toMatchObject({
    __typename: 'MessageUpdated',
    message: { id, text: 'second' },
  });
  expect(await phone.expect('message')).toEqual({
    conversation_id: conversation.legacyId,
    message_id: legacyId,
    event: 'update',
  });

  await ann.graphql.run('mutation ($id: ID!) { deleteMessage(messageId: $id) { text } }', { id });
  expect(await reader.next()).toMatchObject({ __typename: 'MessageDeleted', messageId: id });
  expect(await phone.expect('message')).toEqual({
    conversation_id: conversation.legacyId,
    message_id: legacyId,
    event: 'delete',
  });
});

test('messages of one legacy connection arrive in the order sent', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using reader = await bob.subscribeToConversation(conversation.id);
  const sender = await app.connectLegacy();
  sender.emit('authenticate', { token: ann.token });
  sender.emit('join_conversation', { conversation_id: conversation.legacyId });
  for (let index = 0; index < 20; index += 1) {
    sender.emit('message', { conversation_id: conversation.legacyId, text_message: `m${index}` });
  }
  for (let index = 0; index < 20; index += 1) {
    expect(await reader.next()).toMatchObject({ message: { text: `m${index}` } });
    expect(await sender.expect('message')).toMatchObject({ message: { content: `m${index}` } });
  }
});
