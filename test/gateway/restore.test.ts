import { spawnSync } from 'node:child_process';
import { describe, expect, inject, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { createLogger } from '../../src/log.ts';
import { createCircle, createConversation, createGateway } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { startPostgres } from '../harness/postgres.ts';
import { indexes } from '../harness/numbers.ts';

const CURSOR = 'query ($id: ID!) { conversation(id: $id) { eventCursor } }';

const readCursor = async (account: TestAccount, id: string): Promise<string> =>
  (await account.graphql.run<{ conversation: { eventCursor: string } }>(CURSOR, { id })).conversation
    .eventCursor;

const codesOf = (errors: readonly { readonly extensions?: Readonly<Record<string, unknown>> }[]) =>
  errors.map(({ extensions }) => extensions?.['code']);

/** Starts two nodes on a server of their own, with a conversation of Ann on the first and Bob on the second. */
async function startNodes() {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await startPostgres());
  const openNode = async () => {
    const database = stack.use(
      await openDatabase({ kind: 'postgres', url: server.url }, createLogger('silent')),
    );
    return stack.use(await createGateway({ database, env: { AUTH_SECRET: 'shared by both nodes' } }));
  };
  const [one, two] = [await openNode(), await openNode()];
  const ann = await one.createAccount();
  const bob = await two.createAccount();
  const conversation = await createConversation(ann, await createCircle(ann, bob), bob);
  return { server, ann, bob, conversation, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe.runIf(inject('database') === 'postgres')('running nodes', () => {
  test('end streams and reject cursors after an earlier state of PostgreSQL was restored', async () => {
    await using nodes = await startNodes();
    const { server, ann, bob, conversation } = nodes;
    const send = async (text: string) => {
      await expect
        .poll(() =>
          sendMessage(ann, conversation, text).then(
            () => 'sent',
            () => 'failed',
          ),
        )
        .toBe('sent');
    };
    await send('before the backup');
    await server.stop();
    server.backUp();
    await server.start();

    for (const index of indexes(10)) await send(`lost ${index}`);
    await using events = await bob.subscribeToConversation(conversation.id);
    const legacyClient = await bob.connectLegacy();
    await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
    const formerCursor = await readCursor(bob, conversation.id);
    await server.stop();
    server.restore();
    await server.start();

    expect(codesOf(await events.waitForEnd())).toEqual(['CURSOR_INVALID']);
    // More events than were lost: without another epoch the former cursor would be valid again.
    for (const index of indexes(20)) await send(`new ${index}`);
    await using resumed = await bob.subscribeToConversation(conversation.id, formerCursor);
    expect(codesOf(await resumed.waitForEnd())).toEqual(['CURSOR_INVALID']);
    const cursor = await readCursor(bob, conversation.id);
    await send('after the restore');
    await using renewed = await bob.subscribeToConversation(conversation.id, cursor);
    expect(await renewed.next()).toMatchObject({ message: { text: 'after the restore' } });
    legacyClient.close();
  }, 120_000);

  test('notice npm run renew-epoch', async () => {
    await using nodes = await startNodes();
    const { server, ann, bob, conversation } = nodes;
    const streams = [
      await ann.subscribeToConversation(conversation.id),
      await bob.subscribeToConversation(conversation.id),
    ];
    const { status, stdout } = spawnSync(process.execPath, ['src/main.ts', 'renew-epoch'], {
      env: { ...process.env, DATABASE_URL: server.url, AUTH_SECRET: 'shared by both nodes' },
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^The epoch is now [0-9a-f]{8}\./)]);
    for (const stream of streams) expect(codesOf(await stream.waitForEnd())).toEqual(['CURSOR_INVALID']);
  });
});
