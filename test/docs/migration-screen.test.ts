import { expect, test } from 'vitest';
import { createGateway, createGraphqlClient } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { loadClient } from '../clients/load.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { readPage } from './migration-page.ts';
import { connectionScript, modernScope, numberAsOnThePage } from './migration-fixtures.ts';
import { execute } from './snippets.ts';

// Runs the complete screen of docs/migration.md, before and after.

interface Screen {
  /** The calls into the rest of the app, in order. */
  readonly calls: readonly unknown[][];
  send(text: string): void;
  close(): unknown;
}

/** The functions of the rest of the app, which record their calls. */
function restOfApp() {
  const calls: unknown[][] = [];
  const names = ['show', 'remove', 'reload', 'warn'];
  const functions = names.map((name) => [name, (...values: unknown[]) => void calls.push([name, ...values])]);
  return { calls, functions: Object.fromEntries(functions) as Record<string, unknown> };
}

async function openScreens(url: string, { token }: TestAccount): Promise<[Screen, Screen]> {
  const section = (await readPage()).find(({ title }) => title === 'A whole screen');
  const [before = '', after = ''] = section?.scripts ?? [];

  const old = restOfApp();
  const io = (address: string) =>
    loadClient('1.3.6')(address, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
  const oldScope = { ...old.functions, io, token };
  const oldCode = `${before} return { send, close: () => socket.close() };`;
  const oldScreen = await execute<Omit<Screen, 'calls'>>(oldCode, url, oldScope);

  const modern = restOfApp();
  const scope = { ...modernScope, ...modern.functions, token };
  const code = `${await connectionScript()} ${after} openChat(); return { send, close: () => client.dispose() };`;
  const screen = await execute<Omit<Screen, 'calls'>>(code, url, scope);
  return [
    { ...oldScreen, calls: old.calls },
    { ...screen, calls: modern.calls },
  ];
}

const RESTART = { timeout: 15_000 };

test('the whole screen shows the same before and after, over a restart', { timeout: 60_000 }, async () => {
  const database = await openTestDatabase();
  await numberAsOnThePage(database);
  const env = { AUTH_SECRET: 'the same after the restart' };
  const first = await createGateway({ database, env });
  const { ann, bob, conversation } = await createAnnAndBob(first);
  const [old, modern] = await openScreens(first.url, ann);

  old.send('by the old screen');
  await expect.poll(() => old.calls).toEqual([['show', 40, 'ann@example.com', 'by the old screen']]);
  await expect.poll(() => modern.calls).toEqual(old.calls);
  modern.send('by the new screen');
  await expect.poll(() => old.calls).toHaveLength(2);
  await expect.poll(() => modern.calls).toEqual(old.calls);

  await first[Symbol.asyncDispose]();
  await using elsewhere = await createGateway({ database, env });
  await using graphql = createGraphqlClient(elsewhere.url, bob.token);
  await sendMessage({ ...bob, graphql }, conversation, 'while you were away');
  await graphql.run('mutation { updateMessage(messageId: "Message:42", text: "edited") { id } }');
  await sendMessage({ ...bob, graphql }, conversation, 'gone again');
  await graphql.run('mutation { deleteMessage(messageId: "Message:43") { id } }');

  const { port } = new URL(first.url);
  await using _second = await createGateway({ database, env: { ...env, PORT: port } });
  const missed = (edited: unknown[]) => [
    ['show', 42, 'bob@example.com', 'while you were away'],
    edited,
    ['show', 43, 'bob@example.com', 'gone again'],
    ['remove', 43],
  ];
  await expect.poll(() => old.calls.slice(2), RESTART).toEqual(missed(['reload', 42]));
  const shown = ['show', 42, 'bob@example.com', 'edited'];
  await expect.poll(() => modern.calls.slice(2), RESTART).toEqual(missed(shown));

  modern.send('back again');
  await expect.poll(() => old.calls.at(-1)).toEqual(['show', 44, 'ann@example.com', 'back again']);
  old.send('so am I');
  await expect.poll(() => modern.calls.at(-1)).toEqual(['show', 45, 'ann@example.com', 'so am I']);
  await expect.poll(() => old.calls.at(-1)).toEqual(modern.calls.at(-1));
  expect([old.calls.length, modern.calls.length]).toEqual([8, 8]);
  for (const screen of [old, modern]) await screen.close();
});
