import { expect, test } from 'vitest';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { openEventStream } from '../harness/event-stream.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { runMutation } from '../harness/run-mutation.ts';

const PASSWORD = 'a password of the tests';

const EVENTS = /* GraphQL */ `
  fragment Person on User {
    id
    email
    firstName
    lastName
  }
  fragment Shown on Message {
    id
    text
    author {
      ... on User {
        ...Person
      }
    }
    media {
      identifier
      filename
    }
  }
  subscription ($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      ... on MessageSent {
        message {
          ...Shown
        }
      }
      ... on MessageUpdated {
        message {
          ...Shown
        }
      }
      ... on MessageDeleted {
        messageId
      }
      ... on ParticipantJoined {
        user {
          ...Person
        }
      }
      ... on ParticipantLeft {
        user {
          ...Person
        }
      }
    }
  }
`;

/** Reads the replay over a WebSocket, up to the end of the replay. */
async function replayOverWebSocket({ graphql }: TestAccount, { id }: Entity, after: string) {
  const stream = graphql.subscribe(EVENTS, { id, after });
  const events: { __typename: string }[] = [];
  for (;;) {
    const event = (await stream.next()) as { __typename: string };
    events.push(event);
    if (event.__typename === 'StreamLive') return events;
  }
}

/** Reads the replay after a `Last-Event-ID`, as text. */
async function replayOverSse(app: TestGateway, { token }: TestAccount, { id }: Entity, lastEventId: string) {
  using stream = await openEventStream(app.url, {
    token,
    query: EVENTS,
    variables: { id },
    headers: { 'last-event-id': lastEventId },
  });
  return await stream.readUntil(/StreamLive/);
}

/** Reads the replay of a legacy client after a message. */
async function replayOverSocketIo(
  app: TestGateway,
  { token }: TestAccount,
  conversation: Entity,
  after: number,
) {
  await using client = await openPacketSocket(app.url);
  await client.request('authenticate', { token });
  const payload = { conversation_id: conversation.legacyId, after_message_id: after };
  return await client.request('join_conversation', payload);
}

test('a user who joins later replays nothing that was deleted or edited before, over any transport', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount({ email: 'ann@example.com' });
  const bob = await app.createAccount({ email: 'bob@example.com' });
  const late = await app.createAccount({ email: 'late@example.com' });
  const gone = await app.createAccount({
    email: 'gone-mark@example.com',
    firstName: 'First-mark',
    lastName: 'Last-mark',
    password: PASSWORD,
  });
  const circle = await createCircle(ann, bob, late, gone);
  const conversation = await createConversation(ann, circle, bob, gone);
  const send = async (account: TestAccount, text: string, ...files: string[]) =>
    (await sendMessage(account, conversation, text, files)).sendMessage.message;
  const first = await send(ann, 'first');
  const deleted = await send(ann, 'deleted-mark', 'identifier-mark');
  const edited = await send(bob, 'former-mark');
  const kept = await send(gone, 'kept');
  await runMutation(ann, 'deleteMessage(messageId: $id)', { id: deleted.id });
  await runMutation(bob, 'updateMessage(messageId: $id, text: $text)', { id: edited.id, text: 'current' });
  await runMutation(gone, 'deleteAccount(password: $password)', { password: PASSWORD });
  const invite = 'inviteToConversation(conversationId: $id, email: $email)';
  await runMutation(ann, invite, { id: conversation.id, email: late.login });
  const {
    conversation: { eventCursor },
  } = await late.graphql.run<{ conversation: { eventCursor: string } }>(
    'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
    { id: conversation.id },
  );
  const [epoch = '', topic = ''] = Buffer.from(eventCursor, 'base64url').toString().split('/');
  const start = Buffer.from(`${epoch}/${topic}/0`).toString('base64url');

  for (const reader of [late, bob]) {
    const events = await replayOverWebSocket(reader, conversation, start);
    const texts = [
      JSON.stringify(events),
      await replayOverSse(app, reader, conversation, start),
      (await replayOverSocketIo(app, reader, conversation, first.legacyId)).join('\n'),
    ];
    for (const text of texts) expect(text).not.toContain('mark');
    expect(texts[2]).toContain(`"message_id":${deleted.legacyId},"event":"delete"`);
    expect(events).toMatchObject([
      ...Array.from({ length: 3 }, () => ({ __typename: 'ParticipantJoined' })),
      { __typename: 'MessageSent', message: { text: 'first' } },
      { __typename: 'MessageSent', message: { text: 'current' } },
      { __typename: 'MessageSent', message: { id: kept.id, text: 'kept', author: null } },
      { __typename: 'MessageDeleted', messageId: deleted.id },
      { __typename: 'MessageUpdated', message: { text: 'current' } },
      { __typename: 'ParticipantLeft', user: { id: gone.id, email: '', firstName: '', lastName: '' } },
      { __typename: 'ParticipantJoined', user: { email: late.login } },
      { __typename: 'StreamLive' },
    ]);
  }
});
