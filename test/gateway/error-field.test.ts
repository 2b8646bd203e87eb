import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';

const CREATE = 'mutation ($input: CreateAccountInput!) { createAccount(input: $input) { token } }';
const SEND_MESSAGE =
  'mutation ($id: ID!, $words: String, $names: [String!]) { sendMessage(conversationId: $id, text: $words, files: $names) { message { id } } }';
const ANN = { email: 'ann@example.com', password: 'a secret', firstName: 'A', lastName: 'B' };

const cases: [field: string | undefined, query: string, variables?: Record<string, unknown>][] = [
  ['email', CREATE, { input: { ...ANN, email: 5 } }],
  ['birthday', CREATE, { input: { ...ANN, birthday: 'yesterday' } }],
  ['lastName', CREATE, { input: { email: 'x', password: 'y', firstName: 'z' } }],
  ['color', CREATE, { input: { ...ANN, color: 'red' } }],
  ['input', CREATE, {}],
  ['text', SEND_MESSAGE, { id: 'Conversation:1', words: 5 }],
  ['files', SEND_MESSAGE, { id: 'Conversation:1', names: ['a', 1] }],
  ['conversationId', SEND_MESSAGE, {}],
  ['text', 'mutation { sendMessage(conversationId: "Conversation:1", text: 5) { message { id } } }'],
  ['conversationId', 'mutation { sendMessage(text: "x") { message { id } } }'],
  ['colour', 'mutation { sendMessage(conversationId: "Conversation:1", colour: 5) { message { id } } }'],
  ['userId', 'mutation { sendSignal(to: { userId: true }, content: 1) }'],
  ['colour', 'mutation { sendSignal(to: { colour: "x" }, content: 1) }'],
  ['first', '{ circles(first: "many") { nodes { id } } }'],
  [undefined, '{ nothing }'],
  [undefined, 'query { me '],
];

test.for(cases)('invalid input has its field in the error: %s in %s', async ([field, query, variables]) => {
  await using app = await startTestApp();
  const { errors } = await app.graphql.send(query, variables);
  expect(errors?.[0]?.extensions).toEqual({ code: 'INVALID_INPUT', ...(field !== undefined && { field }) });
});

test('invalid input has its field in the error over WebSocket too', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  await using subscription = ann.graphql.subscribe(
    'subscription ($id: ID!) { conversationEvents(conversationId: $id) { cursor } }',
    { id: {} },
  );
  expect(await subscription.waitForEnd()).toMatchObject([
    { extensions: { code: 'INVALID_INPUT', field: 'conversationId' } },
  ]);
});
