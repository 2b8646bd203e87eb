import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import type { DataFolder } from '../harness/data-folder.ts';
import { CONVERSATION_ID, logIn, sendMessage } from '../harness/demo-server.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';

// What clients notice of a node that stops. The times are longer than any test: what happens does so without them.

const NEVER_MS = '600000';
const EVENTS = `subscription { conversationEvents(conversationId: "${CONVERSATION_ID}") {
  __typename ... on MessageSent { message { text } } } }`;

let data: DataFolder;
beforeAll(async () => {
  data = await createDataFolder();
});
afterAll(() => data[Symbol.asyncDispose]());

async function startNode(env: Record<string, string>) {
  const program = startProgram(SERVER_COMMAND, {
    ...PROGRAM_ENV,
    DATA_DIR: data.path,
    PORT: '0',
    RATE_LIMITS: 'off',
    ...env,
  });
  const url = await waitUntilListening(program.child);
  return {
    program,
    url,
    token: await logIn(url),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

const readState = async (url: string) => {
  const response = await fetch(`${url}/readyz`);
  return { status: response.status, ...((await response.json()) as { state: string }) };
};
const DRAINING = { status: 503, state: 'draining' };

async function waitUntilDraining(url: string): Promise<void> {
  await expect.poll(() => readState(url)).toEqual(DRAINING);
}

async function subscribe(url: string, token: string) {
  const socket = await openGraphqlSocket(url, { token });
  socket.send({ id: '1', type: 'subscribe', payload: { query: EVENTS } });
  await socket.nextOf('next');
  return socket;
}

describe('during DRAIN_DELAY_MS', { timeout: 60_000 }, () => {
  test('the node is not ready, but serves old and new clients, and tells HTTP clients to open new connections', async () => {
    await using node = await startNode({ DRAIN_DELAY_MS: NEVER_MS });
    const { program, url, token } = node;
    await using earlier = await subscribe(url, token);
    const polling = await openPolling(url);
    program.child.kill('SIGTERM');
    await waitUntilDraining(url);

    await using later = await subscribe(url, token);
    await using legacy = await openPacketSocket(url, 4);
    expect(await legacy.request('authenticate', { token })).toEqual([
      expect.stringMatching(/^42\["success"/),
    ]);
    await sendMessage(url, token, 'during the delay');
    for (const socket of [earlier, later])
      expect(await socket.nextOf('next')).toMatchObject({
        payload: { data: { conversationEvents: { message: { text: 'during the delay' } } } },
      });
    expect(await connectionHeader(`${url}/healthz`)).toBe('close');
    // Another node does not know the session.
    expect(await connectionHeader(polling.url)).toBe('keep-alive');
  });
});

describe('during DRAIN_SPREAD_MS', { timeout: 60_000 }, () => {
  test('connections are closed one by one, and those that are left are served', async () => {
    await using node = await startNode({ DRAIN_SPREAD_MS: NEVER_MS });
    const { program, url, token } = node;
    await using first = await subscribe(url, token);
    await using second = await subscribe(url, token);
    program.child.kill('SIGTERM');
    expect(await first.waitForClose()).toEqual({ code: 1012, reason: 'DRAINING' });
    await sendMessage(url, token, 'during the spread');
    expect(await second.nextOf('next')).toMatchObject({
      payload: { data: { conversationEvents: { message: { text: 'during the spread' } } } },
    });
  });

  test('new clients are refused so that they connect elsewhere, and requests are served', async () => {
    await using node = await startNode({ DRAIN_SPREAD_MS: NEVER_MS });
    const { program, url, token } = node;
    await using sockets = new AsyncDisposableStack();
    for (let count = 0; count < 2; count += 1) sockets.use(await subscribe(url, token));
    program.child.kill('SIGTERM');
    await waitUntilDraining(url);

    // The graphql-ws client does not retry after a rejected handshake.
    await using socket = await openGraphqlSocket(url);
    expect(await socket.waitForClose()).toEqual({ code: 1012, reason: 'DRAINING' });
    for (const protocol of [3, 4] as const)
      await expect(openPacketSocket(url, protocol)).rejects.toThrow('503');
    for (const protocol of [3, 4])
      expect((await fetch(`${url}/socket.io/?EIO=${protocol}&transport=polling`)).status).toBe(503);
    const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}` };
    const body = JSON.stringify({ query: EVENTS });
    const posted = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body,
    });
    expect(posted.status).toBe(503);
    // An error is final to a browser's EventSource.
    const source = await fetch(`${url}/graphql?${new URLSearchParams({ query: EVENTS })}`, { headers });
    expect(source.headers.get('content-type')).toContain('text/event-stream');
    expect(await source.text()).toMatch(/^retry: \d+\n\n$/);

    await using client = createGraphqlClient(url, token);
    expect(await client.run('{ me { __typename } }')).toEqual({ me: { __typename: 'User' } });
    expect(await readState(url)).toEqual(DRAINING);
  });
});

test('the process exits after the last close, with 0', { timeout: 60_000 }, async () => {
  await using node = await startNode({ DRAIN_DELAY_MS: '1', DRAIN_SPREAD_MS: '50' });
  const { program, url, token } = node;
  await using first = await subscribe(url, token);
  await using second = await openPacketSocket(url, 3);
  program.child.kill('SIGTERM');
  expect((await first.waitForClose()).code).toBe(1012);
  expect(await second.waitForClose()).toBe(1001);
  expect(await program.exited).toEqual([0, null]);
});

test('a download in flight ends before the process does', { timeout: 60_000 }, async () => {
  await using node = await startNode({ DRAIN_DELAY_MS: '1', DRAIN_SPREAD_MS: '1' });
  const { program, url, token } = node;
  const { media, content } = await storeFile(url, token);
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(media, { headers });
  program.child.kill('SIGTERM');
  await expect.poll(() => program.printed.stdout).toContain('"draining"');
  expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
  expect(await program.exited).toEqual([0, null]);
  expect(program.printed.stderr).toBe('');
});

/** Stores a file that does not fit into the buffers of a socket. */
async function storeFile(url: string, token: string) {
  const content = Buffer.alloc(20_000_000, 'file');
  const query = `mutation { sendMessage(conversationId: "${CONVERSATION_ID}", files: ["file.bin"]) {
    media { id } } }`;
  const headers = { authorization: `Bearer ${token}` };
  const sent = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  const { data } = (await sent.json()) as { data: { sendMessage: { media: { id: string }[] } } };
  const id = data.sendMessage.media[0]?.id.replace('Media:', '') ?? '';
  const form = new FormData();
  form.set('file', new File([content], 'file.bin'));
  const uploaded = await fetch(`${url}/media/upload/${id}`, { method: 'POST', headers, body: form });
  expect(uploaded.status).toBe(200);
  return { media: `${url}/media/${id}`, content };
}

async function openPolling(url: string) {
  const response = await fetch(`${url}/socket.io/?EIO=4&transport=polling`);
  const { sid } = JSON.parse((await response.text()).slice(1)) as { sid: string };
  return { url: `${url}/socket.io/?EIO=4&transport=polling&sid=${sid}` };
}

/** Returns the header of a response; of a polling session, the response to its next request. */
async function connectionHeader(url: string): Promise<string | null> {
  const isPolling = url.includes('sid=');
  const response = await fetch(url, isPolling ? { method: 'POST', body: '40' } : {});
  await response.text();
  return response.headers.get('connection');
}
