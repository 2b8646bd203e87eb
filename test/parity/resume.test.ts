import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';

const SNAPSHOT = /* GraphQL */ `
  query Snapshot($id: ID!) {
    conversation(id: $id) {
      eventCursor
      messages(last: 100) {
        nodes {
          text
        }
      }
    }
  }
`;

interface Snapshot {
  readonly conversation: {
    readonly eventCursor: string;
    readonly messages: { readonly nodes: { readonly text: string }[] };
  };
}

test('a subscription after a query’s cursor has no gap and no duplicate', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const writer = (async () => {
    for (let index = 0; index < 40; index += 1) await sendMessage(ann, conversation, `m${index}`);
  })();
  await sendMessage(bob, conversation, 'first');
  const { conversation: snapshot } = await bob.graphql.run<Snapshot>(SNAPSHOT, { id: conversation.id });
  const texts = snapshot.messages.nodes.map((message) => message.text);
  await using events = await bob.subscribeToConversation(conversation.id, snapshot.eventCursor);
  await writer;
  await sendMessage(ann, conversation, 'last');
  while (texts.at(-1) !== 'last') {
    const { message } = await events.nextOf('MessageSent');
    texts.push((message as { text: string }).text);
  }
  expect(texts.filter((text) => text.startsWith('m'))).toEqual(
    Array.from({ length: 40 }, (_, index) => `m${index}`),
  );
});

test('a subscriber that resumes with its cursor receives missed events, then StreamLive', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using firstStream = await bob.subscribeToConversation(conversation.id);
  await sendMessage(ann, conversation, 'seen');
  const { cursor } = await firstStream.nextOf('MessageSent');
  firstStream.unsubscribe();
  for (const text of ['one', 'two', 'three']) await sendMessage(ann, conversation, text);
  await using secondStream = await bob.subscribeToConversation(conversation.id, String(cursor));
  for (const text of ['one', 'two', 'three'])
    expect(await secondStream.next()).toMatchObject({ message: { text } });
  const liveEvent = await secondStream.next();
  expect(liveEvent).toMatchObject({
    __typename: 'StreamLive',
    cursor: expect.any(String),
    at: expect.any(String),
  });
  await using thirdStream = await bob.subscribeToConversation(conversation.id, String(liveEvent['cursor']));
  expect(await thirdStream.next()).toMatchObject({ __typename: 'StreamLive', cursor: liveEvent['cursor'] });
});

test('a cursor of another topic, a malformed one, or one beyond the head is CURSOR_INVALID', async () => {
  await using app = await startTestApp();
  const { ann, circle, conversation } = await createAnnAndBob(app);
  const { circle: circleSnapshot } = await ann.graphql.run<{ circle: { eventCursor: string } }>(
    'query ($id: ID!) { circle(id: $id) { eventCursor } }',
    { id: circle.id },
  );
  for (const after of [circleSnapshot.eventCursor, ' ', 'nonsense', 'x'.repeat(201)]) {
    await using stream = await ann.subscribeToConversation(conversation.id, after);
    expect(await stream.waitForEnd()).toMatchObject([{ extensions: { code: 'CURSOR_INVALID' } }]);
  }
});

test('an account without read access cannot resume a conversation', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const { conversation: snapshot } = await bob.graphql.run<Snapshot>(SNAPSHOT, { id: conversation.id });
  const stranger = await app.createAccount();
  await using strangerEvents = await stranger.subscribeToConversation(conversation.id, snapshot.eventCursor);
  expect(await strangerEvents.waitForEnd()).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
  await bob.graphql.run('mutation ($id: ID!) { leaveConversation(conversationId: $id) { id } }', {
    id: conversation.id,
  });
  await using bobEvents = await bob.subscribeToConversation(conversation.id, snapshot.eventCursor);
  expect(await bobEvents.waitForEnd()).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
  expect(ann.id).not.toBe(bob.id);
});
