import { expect, test } from 'vitest';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';

const POSITION_FRAGMENT = 'fragment Position on Event { cursor at }';
const EVENT_FRAGMENT =
  'fragment Any on Event { ... on MessageSent { message { text } } ... on CircleUpdated { circle { name } } }';
const CIRCLE_FRAGMENT = 'fragment Renamed on CircleUpdated { circle { name } }';
const STREAM_FRAGMENT = 'fragment Streamed on ConversationEvent { cursor }';

test.each([
  ['fields of every event', 'cursor at'],
  ['an event of the stream', '... on MessageSent { message { text } }'],
  [
    'fragments on Event',
    `... on Event { cursor } ...Position ...Any } } ${POSITION_FRAGMENT} ${EVENT_FRAGMENT}`,
  ],
  ['events of another stream', `... on CircleUpdated { circle { name } } ...Renamed } } ${CIRCLE_FRAGMENT}`],
  ['fragments on the types of streams', `... on CircleEvent { at } ...Streamed } } ${STREAM_FRAGMENT}`],
])('a conversation stream can select %s', async (_label, selection) => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const { id } = await createConversation(ann, await createCircle(ann));
  const closingBraces = selection.includes('fragment') ? '' : '} }';
  const events = ann.graphql.subscribe<{ __typename: string }>(
    `subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename ${selection} ${closingBraces}`,
    { id },
  );
  expect(await events.next()).toMatchObject({ __typename: 'StreamLive' });
});

test('a fragment on a type that is not an event is rejected', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${ann.token}` },
    body: JSON.stringify({ query: 'subscription { inboxEvents { ... on User { id } } }' }),
  });
  expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'INVALID_INPUT' } }] });
});
