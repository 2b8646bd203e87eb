import { buildSchema, parse } from 'graphql';
import { expect, test } from 'vitest';
import { createSubscriptionKeys } from '../../src/gateway/execution/subscription-key.ts';
import { schema } from '../../src/schema/index.ts';

const { keyOf } = createSubscriptionKeys(schema);

const conversation = (selection: string) =>
  parse(`subscription Talk($id: ID!, $after: Cursor, $with: Boolean = true) {
    conversationEvents(conversationId: $id, after: $after) { ${selection} } }`);

const TEXT = conversation('... on MessageSent { message { text @include(if: $with) } }');

test('operations that differ in where they begin, or in what they do not declare, are the same', () => {
  const key = keyOf({ document: TEXT, variables: { id: 'Conversation:1' } });
  expect(key).toBeDefined();
  for (const variables of [
    { id: 'Conversation:1', after: 'somewhere' },
    { after: null, id: 'Conversation:1' },
    { id: 'Conversation:1', undeclared: 'x'.repeat(10_000) },
  ])
    expect(keyOf({ document: TEXT, variables })).toBe(key);
});

test('operations that differ in anything else are others', () => {
  const keys = [
    keyOf({ document: TEXT, variables: { id: 'Conversation:1' } }),
    keyOf({ document: TEXT, variables: { id: 'Conversation:2' } }),
    keyOf({ document: TEXT, variables: { id: 'Conversation:1', with: false } }),
    keyOf({ document: TEXT, operationName: 'Talk', variables: { id: 'Conversation:1' } }),
    keyOf({ document: conversation('__typename'), variables: { id: 'Conversation:1' } }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});

test('a cursor that stands elsewhere too makes a difference', () => {
  const twice = parse(`subscription ($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      ... on MessageSent { message { conversation { messages(after: $after) { nodes { id } } } } } } }`);
  const plain = parse(
    `subscription ($after: ID!) { conversationEvents(conversationId: $after) { __typename } }`,
  );
  for (const document of [twice, plain]) {
    const [one, other] = ['a', 'b'].map((after) =>
      keyOf({ document, variables: { id: 'Conversation:1', after } }),
    );
    if (one !== undefined) expect(one).not.toBe(other);
  }
});

test.for([
  '... on ConversationUpdated { conversation { myRole } }',
  '... on ConversationUpdated { conversation { name eventCursor } }',
  '... on MediaUploaded { media { message { id } } }',
  '... on MessageSent { message { author { ... on User { circles { nodes { id } } } } } }',
])('what depends on who asks is not shared: %s', (selection) => {
  expect(keyOf({ document: conversation(selection), variables: { id: 'Conversation:1' } })).toBeUndefined();
});

test.for(['user { email }', 'invitedBy { email }'])('nor is the %s of an invitation', (selection) => {
  const document = parse(
    `subscription { inboxEvents { ... on CircleInvited { invitation { ${selection} } } } }`,
  );
  expect(keyOf({ document })).toBeUndefined();
});

test('values too long to be a key are not kept', () => {
  expect(keyOf({ document: TEXT, variables: { id: 'x'.repeat(10_000) } })).toBeUndefined();
});

test('a field of an interface is marked when it is in a type that implements it', () => {
  const other = buildSchema(`
    interface Named { name: String }
    type User implements Named { name: String }
    type Query { user: Named }
  `);
  const user = other.getType('User');
  if (user === undefined || !('getFields' in user)) throw new Error('There is no such type.');
  const { name } = user.getFields();
  if (name !== undefined) name.extensions = { perActor: true };
  expect(() => createSubscriptionKeys(other)).toThrow('Named.name must be marked perActor, as it is in User');
});
