import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from 'graphql-ws';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createGraphqlClient } from '../../src/testing/index.ts';
import type { GraphqlClient } from '../../src/testing/index.ts';
import { codeOf, CONVERSATION_EVENTS, openClient, subscribe } from '../client/subscriptions.ts';
import type { Event } from '../client/subscriptions.ts';
import { CONVERSATION_ID, logIn } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { prepareServer } from '../harness/server.ts';
import type { Server } from '../harness/server.ts';
import { createFolder, openShell, readCommands, startDeployment } from './book.ts';

// Backs up, loses and restores data with the commands of docs/operations/backup.md.

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';
const SEND_FILE = `mutation ($id: ID!) {
  sendMessage(conversationId: $id, text: "with a file", files: ["note.txt"]) { media { legacyId } }
}`;
const READ = `query ($id: ID!) {
  conversation(id: $id) { eventCursor messages(last: 100) { nodes { text media { url } } } }
}`;

interface State {
  readonly cursor: string;
  readonly texts: readonly string[];
  readonly urls: readonly string[];
}

async function readState(graphql: GraphqlClient): Promise<State> {
  const { conversation } = await graphql.run<{
    conversation: {
      eventCursor: string;
      messages: { nodes: { text: string; media: { url: string }[] }[] };
    };
  }>(READ, { id: CONVERSATION_ID });
  const { nodes } = conversation.messages;
  return {
    cursor: conversation.eventCursor,
    texts: nodes.map(({ text }) => text),
    urls: nodes.flatMap(({ media }) => media.map(({ url }) => url)),
  };
}

const send = async (graphql: GraphqlClient, ...texts: string[]): Promise<void> => {
  for (const text of texts) await graphql.run(SEND, { id: CONVERSATION_ID, text });
};

/** Ann, logged in to a server; her requests go to it again after it was restarted. */
async function openAnn(server: Server) {
  const token = await logIn(server.url);
  return { token, graphql: createGraphqlClient(server.url, token) };
}

async function sendFile({ url }: Server, token: string, graphql: GraphqlClient): Promise<void> {
  const { sendMessage } = await graphql.run<{ sendMessage: { media: { legacyId: number }[] } }>(SEND_FILE, {
    id: CONVERSATION_ID,
  });
  const body = new FormData();
  body.set('file', new File(['a note'], 'note.txt'));
  const response = await fetch(`${url}/media/upload/${sendMessage.media[0]?.legacyId}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body,
  });
  expect(response.status).toBe(200);
}

/** A subscription of graphql-ws without parley/client, which reconnects. */
function openStock({ url }: Server, token: string, after: string) {
  const client = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    connectionParams: { token },
    webSocketImpl: WebSocket,
    retryAttempts: Infinity,
    shouldRetry: () => true,
  });
  const events: Event[] = [];
  let code: unknown;
  client.subscribe<Record<'conversationEvents', Event>>(
    { query: CONVERSATION_EVENTS, variables: { id: CONVERSATION_ID, after } },
    {
      next({ data, errors }) {
        if (data?.conversationEvents !== undefined) events.push(data.conversationEvents);
        code ??= errors?.[0]?.extensions?.['code'];
      },
      error: (problem) => (code ??= codeOf(problem)),
      complete: () => undefined,
    },
  );
  return {
    /** The error that ended it. */
    code: () => code,
    types: () => events.map(({ __typename }) => __typename),
    texts: () => events.flatMap(({ message }) => message?.text ?? []),
    [Symbol.asyncDispose]: async () => client.dispose(),
  };
}

/**
 * Subscribes with `parley/client` and with a client that knows nothing of Parley. After the restore, expects the first to continue,
 * the second to end with CURSOR_INVALID and to continue after a new query, and each to receive later messages.
 */
async function openReaders(server: Server, token: string, graphql: GraphqlClient) {
  const { cursor } = await readState(graphql);
  let expiries = 0;
  const onExpired = async (): Promise<string> => {
    expiries += 1;
    return (await readState(graphql)).cursor;
  };
  const retrying = { onExpired, retryDelay: () => 500 };
  const client = openClient('graphql-ws', server.url, token, retrying, { retryAttempts: 0 });
  const variables = { id: CONVERSATION_ID, after: cursor };
  const resumed = subscribe(client, { query: CONVERSATION_EVENTS, variables });
  const stock = openStock(server, token, cursor);
  await resumed.waitUntil(() => resumed.events.length > 0);
  await expect.poll(() => stock.types()).toEqual(['StreamLive']);
  return {
    async expectRecovery(): Promise<void> {
      await expect.poll(() => expiries, { timeout: 30_000 }).toBe(1);
      await expect.poll(() => stock.code(), { timeout: 30_000 }).toBe('CURSOR_INVALID');
      await using again = openStock(server, token, (await readState(graphql)).cursor);
      await expect.poll(() => again.types()).toEqual(['StreamLive']);
      await send(graphql, 'after the restore');
      await resumed.waitUntil(() => resumed.texts().includes('after the restore'));
      await expect.poll(() => again.texts()).toEqual(['after the restore']);
      expect(expiries).toBe(1);
    },
    async [Symbol.asyncDispose]() {
      await client.dispose();
      await stock[Symbol.asyncDispose]();
    },
  };
}

async function expectRejected(server: Server, token: string, cursor: string): Promise<void> {
  await using subscription = openStock(server, token, cursor);
  await expect.poll(() => subscription.code()).toBe('CURSOR_INVALID');
}

describe.skipIf(isMissing('postgresql'))('PostgreSQL', () => {
  test('a deployment that lost everything is restored from a dump', { timeout: 180_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const { nodes, folder, run } = await startDeployment(stack);
    const [definitions = ''] = await readCommands('backup', 'Definitions');
    const [first, second] = nodes;
    const { token, graphql } = await openAnn(first);
    await send(graphql, 'before the backup');
    await sendFile(first, token, graphql);
    const [dump] = await readCommands('backup', 'Back up by a dump');
    await run(`${definitions}${dump}`);
    const saved = await readState(graphql);
    await send(graphql, 'lost 1', 'lost 2', 'lost 3');
    const { cursor } = await readState(graphql);
    await using readers = await openReaders(second, token, createGraphqlClient(second.url, token));

    for (const node of nodes) await node.stop('SIGKILL');
    await run('dropdb --force parley\nrm --recursive "$MEDIA_DIR"\n');
    const [restore] = await readCommands('backup', 'Restore a dump');
    await run(`${definitions}${restore}`);

    const restored = await readState(graphql);
    expect(restored.texts).toEqual(saved.texts);
    expect(restored.texts).toContain('before the backup');
    const [url = ''] = restored.urls;
    const { pathname, search } = new URL(url, first.url);
    const response = await fetch(`${first.url}${pathname}${search}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect([response.status, await response.text()]).toEqual([200, 'a note']);
    const [day = ''] = await readdir(join(folder, 'parley'));
    expect(await readdir(join(folder, 'parley', day))).toEqual(['media', 'parley.dump', 'parley.env']);
    // As many events as were lost: without another epoch the cursor would be valid again.
    await send(graphql, 'new 1', 'new 2', 'new 3', 'new 4');
    await expectRejected(first, token, cursor);
    await readers.expectRecovery();
  });

  test('a deployment is restored to a point in time before the damage', { timeout: 180_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const { nodes, run, postgres } = await startDeployment(stack);
    const [definitions = ''] = await readCommands('backup', 'Definitions');
    const [first, second] = nodes;
    const { token, graphql } = await openAnn(first);
    const [, archive, backup] = await readCommands('backup', 'Back up continuously');
    await run(`${definitions}${archive}`);
    await expect
      .poll(() =>
        send(graphql, 'before the backup').then(
          () => 'sent',
          () => 'failed',
        ),
      )
      .toBe('sent');
    await run(`${definitions}${backup}`);
    await send(graphql, 'before the damage');
    const client = new pg.Client({ connectionString: postgres.url });
    await client.connect();
    const { rows } = await client.query<{ now: string }>('select clock_timestamp()::text as now');
    await send(graphql, 'damage');
    const { cursor } = await readState(graphql);
    // What a server archives after five minutes.
    await client.query('select pg_switch_wal()');
    await expect
      .poll(async () => (await client.query('select * from pg_stat_archiver')).rows)
      .toMatchObject([{ failed_count: '0' }]);
    await client.end();
    await using readers = await openReaders(second, token, createGraphqlClient(second.url, token));

    const [restore = ''] = await readCommands('backup', 'Restore a point in time');
    await run(`${definitions}TARGET='${rows[0]?.now}'\n${restore}`);

    const { texts } = await readState(graphql);
    expect(texts).toEqual(expect.arrayContaining(['before the backup', 'before the damage']));
    expect(texts).not.toContain('damage');
    await send(graphql, 'new 1', 'new 2');
    await expectRejected(first, token, cursor);
    await readers.expectRecovery();
  });
});

test('a copy of the embedded database is restored', { timeout: 180_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await createFolder(stack);
  const env = { DATA_DIR: join(folder, 'data'), BACKUP: join(folder, 'backup') };
  const server = stack.use(await prepareServer({ DATA_DIR: env.DATA_DIR }));
  const run = await openShell(
    stack,
    (verb) => (verb === 'stop' ? server.stop('SIGTERM') : server.start()),
    env,
  );
  await server.start();
  const { token, graphql } = await openAnn(server);
  await send(graphql, 'before the backup');
  const [backup, restore] = await readCommands('backup', 'The embedded database');
  await run(backup);
  await send(graphql, 'lost');
  const { cursor } = await readState(graphql);
  await using readers = await openReaders(server, token, graphql);
  await run(restore);
  const { texts } = await readState(graphql);
  expect(texts).toContain('before the backup');
  expect(texts).not.toContain('lost');
  await send(graphql, 'new 1', 'new 2');
  await expectRejected(server, token, cursor);
  await readers.expectRecovery();
});
