import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import type { Entity, TestAccount } from '../../src/testing/index.ts';

const WRITER_COUNT = 16;
const CIRCLE_EVENTS =
  'subscription ($id: ID!, $after: Cursor) { circleEvents(circleId: $id, after: $after) { __typename cursor ... on CircleUpdated { circle { name } } } }';
const RENAME_CIRCLE =
  'mutation ($id: ID!, $name: String!) { updateCircle(circleId: $id, name: $name) { name eventCursor } }';

interface CircleEvent {
  readonly __typename: string;
  readonly cursor: string;
  readonly circle?: { readonly name: string };
}

/** Returns the circle's name at each position of its log. */
async function readNames(account: TestAccount, circle: Entity, after: string): Promise<Map<string, string>> {
  await using events = account.graphql.subscribe<CircleEvent>(CIRCLE_EVENTS, { id: circle.id, after });
  const names = new Map<string, string>();
  for (let event = await events.next(); event.__typename !== 'StreamLive'; event = await events.next())
    names.set(event.cursor, event.circle?.name ?? '');
  return names;
}

async function readCursor(account: TestAccount, { id }: Entity): Promise<string> {
  const query = 'query ($id: ID!) { circle(id: $id) { eventCursor } }';
  return (await account.graphql.run<{ circle: { eventCursor: string } }>(query, { id })).circle.eventCursor;
}

const createNames = (prefix: string) =>
  Array.from({ length: WRITER_COUNT }, (_, index) => `${prefix} ${index}`);

test('a mutation returns the state at its eventCursor under concurrent writes', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const circle = await createCircle(ann);
  const startCursor = await readCursor(ann, circle);
  const results = await Promise.all(
    createNames('name').map((name) =>
      ann.graphql.run<{ updateCircle: { name: string; eventCursor: string } }>(RENAME_CIRCLE, {
        id: circle.id,
        name,
      }),
    ),
  );
  const names = await readNames(ann, circle, startCursor);
  expect(names.size).toBe(WRITER_COUNT);
  for (const { updateCircle } of results) expect(names.get(updateCircle.eventCursor)).toBe(updateCircle.name);
});

test('an event carries the state at its eventCursor', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const circle = await createCircle(ann);
  const startCursor = await readCursor(ann, circle);
  await using events = ann.graphql.subscribe<{ circle?: { name: string; eventCursor: string } }>(
    'subscription ($id: ID!, $after: Cursor) { circleEvents(circleId: $id, after: $after) { ... on CircleUpdated { circle { name eventCursor } } } }',
    { id: circle.id, after: startCursor },
  );
  await Promise.all(
    createNames('name').map((name) => ann.graphql.run(RENAME_CIRCLE, { id: circle.id, name })),
  );
  const names = await readNames(ann, circle, startCursor);
  for (let index = 0; index < WRITER_COUNT; index += 1) {
    const { circle: eventCircle } = await events.next((event) => event.circle !== undefined);
    expect(names.get(eventCircle?.eventCursor ?? '')).toBe(eventCircle?.name);
  }
});

test('a removed member reads no later state beside an eventCursor', async () => {
  await using app = await startTestApp();
  const [ann, bob, eve] = [await app.createAccount(), await app.createAccount(), await app.createAccount()];
  await using firstInbox = bob.graphql.subscribe<{ cursor: string }>(
    'subscription { inboxEvents { cursor } }',
  );
  const { cursor: after } = await firstInbox.next();
  const circle = await createCircle(ann, bob, eve);
  const { id } = await createConversation(ann, circle, bob, eve);
  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromCircle(circleId: $id, email: $email) { id } }',
    { id: circle.id, email: bob.login },
  );
  await ann.graphql.run(
    'mutation ($id: ID!) { updateConversation(conversationId: $id, name: "Secret") { id } }',
    { id },
  );
  await ann.graphql.run(RENAME_CIRCLE, { id: circle.id, name: 'Secret' });
  await using inbox = bob.graphql.subscribe<{
    conversation?: { name: string };
    invitation?: { circle: { name: string } };
  }>(
    `subscription ($after: Cursor) { inboxEvents(after: $after) {
      ... on CircleInvited { invitation { circle { name eventCursor } } }
      ... on ConversationInvited { conversation { name eventCursor } }
    } }`,
    { after },
  );
  expect(await inbox.next()).toMatchObject({ invitation: { circle: { name: 'Family' } } });
  expect(await inbox.next()).toMatchObject({ conversation: { name: 'Talk' } });
});

test('a mutation returns what it deleted as it was, with its eventCursor', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const circle = await createCircle(ann);
  const result = await ann.graphql.run<{ deleteCircle: { name: string; eventCursor: string } }>(
    'mutation ($id: ID!) { deleteCircle(circleId: $id) { name eventCursor } }',
    { id: circle.id },
  );
  expect(result.deleteCircle).toEqual({ name: 'Family', eventCursor: expect.any(String) });
});
