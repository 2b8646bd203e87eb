import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestAccount } from '../../src/testing/account.ts';
import {
  createCircle,
  createConversation,
  createGateway,
  createGraphqlClient,
} from '../../src/testing/index.ts';
import type { Entity, GraphqlClient } from '../../src/testing/index.ts';
import { findFreePort } from '../harness/ports.ts';
import { startPostgres } from '../harness/postgres.ts';
import { readPreviousRelease } from '../harness/previous-release.ts';
import { PROGRAM_ENV, ROOT, startProgram, waitUntilListening } from '../harness/program.ts';

// Runs the code of the release before this one, which `npm run keep-release` has kept, with the packages of this one: before
// and beside this release, started again beside it, and alone after a roll-back. The test does not show that the former release
// runs with its own versions of packages.

const SECRET = 'a secret that both releases share';
const SEND = `mutation ($id: ID!, $text: String!) {
  sendMessage(conversationId: $id, text: $text) { message { id } }
}`;
const EVENTS = `subscription ($id: ID!, $after: Cursor) {
  conversationEvents(conversationId: $id, after: $after) { __typename cursor ... on MessageSent { message { text } } }
}`;
const INBOX = 'subscription ($after: Cursor) { inboxEvents(after: $after) { __typename cursor } }';
const CURSOR = 'query ($id: ID!) { conversation(id: $id) { eventCursor } }';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-previous-'));
  await mkdir(join(folder, 'src'));
  await writeFile(join(folder, 'src/program.js'), await readPreviousRelease());
  await writeFile(join(folder, 'package.json'), await readFile(join(ROOT, 'package.json')));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
});

afterAll(() => rm(folder, { recursive: true }));

/** Starts a node of the previous release. */
async function startPrevious(databaseUrl: string) {
  const program = startProgram(
    [process.execPath, join(folder, 'src/program.js')],
    {
      ...PROGRAM_ENV,
      DATABASE_URL: databaseUrl,
      AUTH_SECRET: SECRET,
      HOST: '127.0.0.1',
      PORT: String(await findFreePort()),
      DATA_DIR: folder,
      RATE_LIMITS: 'off',
    },
    folder,
  );
  const url = await waitUntilListening(program.child);
  return { url, program, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

const startCurrent = (databaseUrl: string) =>
  createGateway({
    env: { DATABASE_URL: databaseUrl, AUTH_SECRET: SECRET, MEDIA_DIR: join(folder, 'media') },
  });

async function send(client: GraphqlClient, id: string, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) await client.run(SEND, { id, text });
}

/** Marks the newest message of a conversation as read. */
async function markAllRead(client: GraphqlClient, id: string): Promise<void> {
  const found = await client.run<{ conversation: { messages: { nodes: { id: string }[] } } }>(
    'query ($id: ID!) { conversation(id: $id) { messages(last: 1) { nodes { id } } } }',
    { id },
  );
  await client.run(
    'mutation ($id: ID!, $messageId: ID!) { markRead(conversationId: $id, messageId: $messageId) { id } }',
    { id, messageId: found.conversation.messages.nodes[0]?.id },
  );
}

/** Reads the texts of the next messages, without the events of the beginning of a stream. */
async function readTexts(
  subscription: ReturnType<GraphqlClient['subscribe']>,
  count: number,
): Promise<string[]> {
  const texts: string[] = [];
  while (texts.length < count) {
    const event = (await subscription.nextOf('MessageSent')) as { message: { text: string } };
    texts.push(event.message.text);
  }
  return texts;
}

/** Checks that what the previous release sends and renames in a conversation with read receipts is shown correctly. */
async function checkReceipts(
  annOnPrevious: GraphqlClient,
  current: Readonly<Record<'ann' | 'bob', GraphqlClient>>,
  { id }: Entity,
): Promise<void> {
  await current.ann.run(
    'mutation ($id: ID!) { setReadReceipts(conversationId: $id, allowed: true) { id } }',
    { id },
  );
  await using events = current.bob.subscribe(
    `subscription ($id: ID!) { conversationEvents(conversationId: $id) {
      __typename ... on ConversationUpdated { conversation { name readReceipts } }
    } }`,
    { id },
  );
  await events.nextOf('StreamLive');
  await send(annOnPrevious, id, 'hello');
  await markAllRead(current.bob, id);
  expect(
    await current.ann.run(
      'query ($id: ID!) { conversation(id: $id) { participants { nodes { lastReadMessage { text } } } } }',
      { id },
    ),
  ).toEqual({
    conversation: {
      participants: { nodes: [{ lastReadMessage: null }, { lastReadMessage: { text: 'hello' } }] },
    },
  });
  await annOnPrevious.run(
    'mutation ($id: ID!) { updateConversation(conversationId: $id, name: "Chat") { id } }',
    { id },
  );
  expect(await events.nextOf('ConversationUpdated')).toMatchObject({
    conversation: { name: 'Chat', readReceipts: true },
  });
}

test('nodes of the previous release run and start beside this one on its database, and alone after a roll-back', async () => {
  await using server = await startPostgres();
  await using stack = new AsyncDisposableStack();
  const on = (url: string, token?: string) => stack.use(createGraphqlClient(url, token));
  const texts: string[] = [];
  let inboxCursor = '';
  const next = (...added: readonly string[]): readonly string[] => {
    texts.push(...added);
    return added;
  };

  await using previous = await startPrevious(server.url);
  const ann = stack.use(await createTestAccount(previous.url, on(previous.url)));
  const bob = stack.use(await createTestAccount(previous.url, on(previous.url)));
  const circle = await createCircle(ann, bob);
  const { id } = await createConversation(ann, circle, bob);
  const start = await ann.graphql.run<{ conversation: { eventCursor: string } }>(CURSOR, { id });
  const variables = { id, after: start.conversation.eventCursor };
  await using onPrevious = bob.graphql.subscribe(EVENTS, variables);
  await send(ann.graphql, id, ...next('before 1', 'before 2'));

  {
    await using current = await startCurrent(server.url);
    await using onCurrent = on(current.url, bob.token).subscribe(EVENTS, variables);
    await send(ann.graphql, id, ...next('beside, of the previous release'));
    await send(on(current.url, ann.token), id, ...next('beside, of this release'));
    expect(await readTexts(onPrevious, texts.length)).toEqual(texts);
    expect(await readTexts(onCurrent, texts.length)).toEqual(texts);
    await checkReceipts(
      ann.graphql,
      { ann: on(current.url, ann.token), bob: on(current.url, bob.token) },
      await createConversation(ann, circle, bob),
    );
    // The previous release does not know the event.
    await using inbox = on(previous.url, bob.token).subscribe(INBOX);
    const { cursor } = (await inbox.nextOf('StreamLive')) as { cursor: string };
    await markAllRead(on(current.url, bob.token), id);
    await createConversation(ann, circle, bob);
    expect(await inbox.next()).toMatchObject({ __typename: 'ConversationInvited' });
    inboxCursor = cursor;
    expect(previous.program.printed.stdout).not.toMatch(/"level":50/);

    await previous[Symbol.asyncDispose]();
    await using restarted = await startPrevious(server.url);
    await using onRestarted = on(restarted.url, bob.token).subscribe(EVENTS, variables);
    await send(on(restarted.url, ann.token), id, ...next('restarted, of the previous release'));
    await send(on(current.url, ann.token), id, ...next('restarted, of this release'));
    expect(await readTexts(onRestarted, texts.length)).toEqual(texts);
    expect(await readTexts(onCurrent, 2)).toEqual(texts.slice(-2));
    expect(restarted.program.printed.stdout).not.toMatch(/"level":50/);
  }

  await using rolledBack = await startPrevious(server.url);
  await using afterwards = on(rolledBack.url, bob.token).subscribe(EVENTS, variables);
  await send(on(rolledBack.url, ann.token), id, ...next('rolled back'));
  await using replayed = on(rolledBack.url, bob.token).subscribe(INBOX, { after: inboxCursor });
  expect(await replayed.next()).toMatchObject({ __typename: 'ConversationInvited' });
  expect(await readTexts(afterwards, texts.length)).toEqual(texts);
}, 120_000);
