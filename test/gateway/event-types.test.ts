import { expect, test } from 'vitest';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';

const PLACE = 'fragment Place on Event { cursor at }';
const ANY =
  'fragment Any on Event { ... on MessageSent { message { text } } ... on CircleUpdated { circle { name } } }';
const RENAMED = 'fragment Renamed on CircleUpdated { circle { name } }';
const TOLD = 'fragment Told on ConversationEvent { cursor }';

test.each([
  ['fields of every event', 'cursor at'],
  ['an event of the stream', '... on MessageSent { message { text } }'],
  ['fragments on Event', `... on Event { cursor } ...Place ...Any } } ${PLACE} ${ANY}`],
  ['events of another stream', `... on CircleUpdated { circle { name } } ...Renamed } } ${RENAMED}`],
  ['fragments on the types of streams', `... on CircleEvent { at } ...Told } } ${TOLD}`],
])('a conversation stream can select %s', async (_what, selection) => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const { id } = await createConversation(ann, await createCircle(ann));
  const close = selection.includes('fragment') ? '' : '} }';
  const events = ann.graphql.subscribe<{ __typename: string }>(
    `subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename ${selection} ${close}`,
    { id },
  );
  expect(await events.next()).toMatchObject({ __typename: 'StreamLive' });
});

test('a fragment on a type that is not an event is refused', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${ann.token}` },
    body: JSON.stringify({ query: 'subscription { inboxEvents { ... on User { id } } }' }),
  });
  expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'INVALID_INPUT' } }] });
});
