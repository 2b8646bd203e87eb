import { expect, test } from 'vitest';
import { createGateway, createGraphqlClient } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { loadClient } from '../clients/load.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { readPage } from './migration-page.ts';
import { readConnectionScript, graphqlScope, setFirstIds } from './migration-fixtures.ts';
import { runSnippet } from './snippets.ts';

// Runs the complete screen of docs/migration.md, in its legacy and its GraphQL form.

interface Screen {
  /** Calls into the rest of the app, in order. */
  readonly calls: readonly unknown[][];
  send(text: string): void;
  close(): unknown;
}

/** Creates stubs of the functions of the rest of the app, which record their calls. */
function createAppStub() {
  const calls: unknown[][] = [];
  const names = ['show', 'remove', 'reload', 'warn'];
  const functions = names.map((name) => [name, (...values: unknown[]) => void calls.push([name, ...values])]);
  return { calls, functions: Object.fromEntries(functions) as Record<string, unknown> };
}

async function openScreens(url: string, { token }: TestAccount): Promise<[Screen, Screen]> {
  const section = (await readPage()).find(({ title }) => title === 'A whole screen');
  const [before = '', after = ''] = section?.scripts ?? [];

  const legacyStub = createAppStub();
  const io = (address: string) =>
    loadClient('1.3.6')(address, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
  const legacyScope = { ...legacyStub.functions, io, token };
  const legacyCode = `${before} return { send, close: () => socket.close() };`;
  const legacyScreen = await runSnippet<Omit<Screen, 'calls'>>(legacyCode, url, legacyScope);

  const graphqlStub = createAppStub();
  const appScope = { ...graphqlScope, ...graphqlStub.functions, token };
  const graphqlCode = `${await readConnectionScript()} ${after} openChat(); return { send, close: () => client.dispose() };`;
  const graphqlScreen = await runSnippet<Omit<Screen, 'calls'>>(graphqlCode, url, appScope);
  return [
    { ...legacyScreen, calls: legacyStub.calls },
    { ...graphqlScreen, calls: graphqlStub.calls },
  ];
}

const RESTART = { timeout: 15_000 };

test(
  'the legacy screen and the GraphQL screen show the same, over a restart',
  { timeout: 60_000 },
  async () => {
    const database = await openTestDatabase();
    await setFirstIds(database);
    const env = { AUTH_SECRET: 'the same after the restart' };
    const first = await createGateway({ database, env });
    const { ann, bob, conversation } = await createAnnAndBob(first);
    const [legacyScreen, graphqlScreen] = await openScreens(first.url, ann);

    legacyScreen.send('by the legacy screen');
    await expect
      .poll(() => legacyScreen.calls)
      .toEqual([['show', 40, 'ann@example.com', 'by the legacy screen']]);
    await expect.poll(() => graphqlScreen.calls).toEqual(legacyScreen.calls);
    graphqlScreen.send('by the GraphQL screen');
    await expect.poll(() => legacyScreen.calls).toHaveLength(2);
    await expect.poll(() => graphqlScreen.calls).toEqual(legacyScreen.calls);

    await first[Symbol.asyncDispose]();
    await using otherGateway = await createGateway({ database, env });
    await using graphql = createGraphqlClient(otherGateway.url, bob.token);
    await sendMessage({ ...bob, graphql }, conversation, 'during the restart');
    await graphql.run('mutation { updateMessage(messageId: "Message:42", text: "edited") { id } }');
    await sendMessage({ ...bob, graphql }, conversation, 'deleted later');
    await graphql.run('mutation { deleteMessage(messageId: "Message:43") { id } }');

    const { port } = new URL(first.url);
    await using _second = await createGateway({ database, env: { ...env, PORT: port } });
    const createMissedCalls = (edited: unknown[]) => [
      // A replay shows neither the text before the edit nor the deleted message.
      ['show', 42, 'bob@example.com', 'edited'],
      edited,
      ['remove', 43],
    ];
    await expect.poll(() => legacyScreen.calls.slice(2), RESTART).toEqual(createMissedCalls(['reload', 42]));
    const editedCall = ['show', 42, 'bob@example.com', 'edited'];
    await expect.poll(() => graphqlScreen.calls.slice(2), RESTART).toEqual(createMissedCalls(editedCall));

    graphqlScreen.send('after the restart');
    await expect
      .poll(() => legacyScreen.calls.at(-1))
      .toEqual(['show', 44, 'ann@example.com', 'after the restart']);
    legacyScreen.send('legacy after the restart');
    await expect
      .poll(() => graphqlScreen.calls.at(-1))
      .toEqual(['show', 45, 'ann@example.com', 'legacy after the restart']);
    await expect.poll(() => legacyScreen.calls.at(-1)).toEqual(graphqlScreen.calls.at(-1));
    expect([legacyScreen.calls.length, graphqlScreen.calls.length]).toEqual([7, 7]);
    for (const screen of [legacyScreen, graphqlScreen]) await screen.close();
  },
);
