import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import type { GraphqlClient } from '../../src/testing/index.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import type { GraphqlSocket } from '../harness/graphql-socket.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { PROGRAM_ENV, ROOT, SERVER_COMMAND, waitUntilListening } from '../harness/program.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';

const LOGIN = `mutation { login(email: "ann@example.com", password: "parley") { token } }`;
const SEND =
  'mutation ($text: String!) { sendMessage(conversationId: "Conversation:1", text: $text) { message { sentAt } } }';
const EVENTS =
  'subscription { conversationEvents(conversationId: "Conversation:1") { __typename ... on MessageSent { message { text } } } }';
const PRESENCE = 'subscription { presence(circleId: "Circle:1") { online actor { __typename } } }';
const SIGNAL = 'mutation { sendSignal(to: { email: "ann@example.com" }, content: { message: "CALLING" }) }';

/** Starts the program with a wall clock that the test sets; its monotonic clock is real. */
async function programWithClock() {
  const folder = await mkdtemp(join(tmpdir(), 'parley-test-'));
  const data = await createDataFolder();
  const clock = join(folder, 'clock');
  const set = (offset: string) => writeFile(clock, `${offset}\n`);
  await set('+0s');
  const { stdout } = spawnSync(requireProgram('faketime'), ['-m', '2018-12-07 10:00:00', 'env'], {
    encoding: 'utf8',
  });
  const [node, ...args] = SERVER_COMMAND;
  const child = spawn(node, args, {
    cwd: ROOT,
    env: {
      ...PROGRAM_ENV,
      LD_PRELOAD: /^LD_PRELOAD=(.*)$/m.exec(stdout)?.[1] ?? '',
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DATA_DIR: data.path,
      PORT: '0',
      LOG_LEVEL: 'info',
    },
  });
  const exited = once(child, 'exit');
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  return {
    url: await waitUntilListening(child),
    set,
    printed: () => printed,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
      await data[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The text of the next message that a GraphQL socket receives. */
async function textOn(socket: GraphqlSocket): Promise<unknown> {
  for (;;) {
    const { payload } = (await socket.next(({ id }) => id === 'events')) as {
      payload: { data: { conversationEvents: { message?: { text: string } } } };
    };
    if (payload.data.conversationEvents.message) return payload.data.conversationEvents.message.text;
  }
}

async function send(ann: GraphqlClient, text: string): Promise<number> {
  const { sendMessage } = await ann.run<{ sendMessage: { message: { sentAt: string } } }>(SEND, { text });
  return Date.parse(sendMessage.message.sentAt) - Date.now();
}

/** Later than other tests would wait. */
function untilPacket({ socket }: PacketSocket, packet: string): Promise<void> {
  return new Promise((resolve) => {
    socket.on('message', (data: Buffer) => data.toString() === packet && resolve());
  });
}

describe.skipIf(isMissing('faketime'))('a clock that is set', () => {
  // Each waits for the pings of its own program, mostly idle.
  test.concurrent.for(['+600s', '-600s'])(
    'by %s ends no connection, announces no one as offline, and keeps calls and messages going',
    { timeout: 120_000 },
    async (offset, { expect }) => {
      await using program = await programWithClock();
      const { url } = program;
      await using anonymous = createGraphqlClient(url);
      const { token } = (await anonymous.run<{ login: { token: string } }>(LOGIN)).login;
      await using ann = createGraphqlClient(url, token);
      await using graphql = await openGraphqlSocket(url, { token });
      graphql.send({ id: 'events', type: 'subscribe', payload: { query: EVENTS } });
      graphql.send({ id: 'presence', type: 'subscribe', payload: { query: PRESENCE } });
      await graphql.next(({ id }) => id === 'presence');
      await graphql.next(({ id }) => id === 'events');
      await using ancient = await openPacketSocket(url, 3);
      await using modern = await openPacketSocket(url, 4);
      const old = [ancient, modern];
      for (const socket of old) {
        await socket.request('authenticate', { token });
        await socket.request('join_conversation', { conversation_id: 1 });
      }

      await program.set(offset);
      const shown = Number.parseInt(offset, 10) * 1_000;
      expect(Math.abs((await send(ann, 'set')) - shown)).toBeLessThan(30_000);
      await ann.run(SIGNAL);
      // The connections are looked at with each ping.
      await Promise.all([once(graphql.socket, 'ping'), untilPacket(modern, '2')]);
      modern.send('3');
      ancient.send('2');
      await ancient.next('3');
      await send(ann, 'later');

      expect([await textOn(graphql), await textOn(graphql)]).toEqual(['set', 'later']);
      for (const socket of old)
        for (const text of ['set', 'later']) expect(await socket.next('42["message"')).toContain(text);
      expect(await modern.next('42["webrtc_forward"')).toContain('CALLING');
      expect(graphql.pending()).toEqual([]);
      for (const { socket } of [graphql, ...old]) expect(socket.readyState).toBe(socket.OPEN);
      expect(program.printed()).not.toMatch(/SILENT|"level":50|"level":40(?!.*demo accounts)/);
    },
  );
});
