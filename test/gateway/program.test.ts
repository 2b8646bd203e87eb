import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { rawSocket } from '../harness/raw-socket.ts';
import { untilPrinted } from '../support/process.ts';

const SEND =
  'mutation ($text: String!) { sendMessage(conversationId: "Conversation:1", text: $text) { message { id } } }';
const LAST = '{ conversation(id: "Conversation:1") { messages(last: 100) { nodes { text } } } }';
const EVENTS = 'subscription { conversationEvents(conversationId: "Conversation:1") { __typename } }';

/** The program as `npm start` runs it, on a port of the system's choice. */
function run(env: Record<string, string>) {
  const child = spawn(process.execPath, ['src/main.ts'], {
    env: { PATH: process.env.PATH ?? '', PORT: '0', LOG_LEVEL: 'warn', RATE_LIMITS: 'off', ...env },
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>;
  return {
    child,
    exited,
    printed: () => printed,
    async ready(): Promise<string> {
      await untilPrinted(child, /Parley is running\. +http:\S+\n/);
      return /http:\S+/.exec(printed)?.[0] ?? '';
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'parley-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function logIn(url: string) {
  await using anonymous = createGraphqlClient(url);
  const { login } = await anonymous.run<{ login: { token: string } }>(
    'mutation { login(email: "ann@example.com", password: "parley") { token } }',
  );
  return { token: login.token, client: createGraphqlClient(url, login.token) };
}

describe.skipIf(inject('database') !== 'pglite')('the program', () => {
  test('keeps what it acknowledged when it is killed, and its tokens stay good', async () => {
    await using dir = await temporaryFolder();
    const texts: string[] = [];
    let token: string;
    {
      await using program = run({ DATA_DIR: dir.path });
      const url = await program.ready();
      const ann = await logIn(url);
      token = ann.token;
      const sending = (async () => {
        for (let index = 0; ; index += 1) {
          await ann.client.run(SEND, { text: `m${index}` });
          texts.push(`m${index}`);
          if (index === 30) program.child.kill('SIGKILL');
        }
      })();
      await expect(sending).rejects.toThrow();
      await program.exited;
    }
    expect((await stat(join(dir.path, 'auth-secret'))).mode & 0o777).toBe(0o600);
    await using again = run({ DATA_DIR: dir.path });
    await using client = createGraphqlClient(await again.ready(), token);
    const { conversation } = await client.run<{ conversation: { messages: { nodes: { text: string }[] } } }>(
      LAST,
    );
    const kept = conversation.messages.nodes
      .map((message) => message.text)
      .filter((text) => text.startsWith('m'));
    // One more may have been committed whose answer was cut off.
    expect(kept.slice(0, texts.length)).toEqual(texts);
    expect(kept.length - texts.length).toBeLessThanOrEqual(1);
    expect(again.printed()).not.toContain('Demo accounts');
  }, 60_000);

  test('refuses the data folder of a running one, and says why', async () => {
    await using dir = await temporaryFolder();
    await using first = run({ DATA_DIR: dir.path });
    await first.ready();
    await using second = run({ DATA_DIR: dir.path });
    expect(await second.exited).toEqual([1, null]);
    expect(second.printed()).toMatch(/Another process has the data folder .* open/);
  }, 60_000);

  test('drains on SIGTERM: readers are told, sockets close with 1012, and it exits with 0', async () => {
    await using program = run({ DATA_DIR: 'memory' });
    const url = await program.ready();
    const ann = await logIn(url);
    await using socket = await rawSocket(url, { token: ann.token });
    socket.send({ id: '1', type: 'subscribe', payload: { query: EVENTS } });
    await socket.nextOf('next');
    program.child.kill('SIGTERM');
    expect(await socket.nextOf('error')).toMatchObject({ payload: [{ extensions: { reason: 'DRAINING' } }] });
    expect(await socket.closed()).toEqual({ code: 1012, reason: 'DRAINING' });
    expect(await program.exited).toEqual([0, null]);
  }, 60_000);

  test('reports every mistake in its configuration at once, and does not start', async () => {
    await using program = run({ PORT: 'x', DATABASE_URL: 'postgres://nowhere', TURN_TTL: '1' });
    expect(await program.exited).toEqual([1, null]);
    for (const name of ['PORT', 'TURN_TTL', 'AUTH_SECRET']) expect(program.printed()).toContain(`${name}:`);
  });
});
