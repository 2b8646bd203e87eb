import { spawnSync } from 'node:child_process';
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
import { logIn } from '../harness/demo-server.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';

// Runs the program under libfaketime, and changes the wall clock (as NTP or an operator does) while clients are connected.

const SEND_MESSAGE =
  'mutation ($text: String!) { sendMessage(conversationId: "Conversation:1", text: $text) { message { sentAt } } }';
const EVENTS =
  'subscription { conversationEvents(conversationId: "Conversation:1") { __typename ... on MessageSent { message { text } } } }';
const PRESENCE = 'subscription { presence(circleId: "Circle:1") { online actor { __typename } } }';
const SIGNAL = 'mutation { sendSignal(to: { email: "ann@example.com" }, content: { message: "CALLING" }) }';

/** Starts the program with a wall clock that the test sets. The monotonic clock is real. */
async function startProgramWithClock() {
  const folder = await mkdtemp(join(tmpdir(), 'parley-test-'));
  const data = await createDataFolder();
  const clockFile = join(folder, 'clock');
  const setClock = (offset: string) => writeFile(clockFile, `${offset}\n`);
  await setClock('+0s');
  const { stdout } = spawnSync(requireProgram('faketime'), ['-m', '2018-12-07 10:00:00', 'env'], {
    encoding: 'utf8',
  });
  const program = startProgram(SERVER_COMMAND, {
    ...PROGRAM_ENV,
    LD_PRELOAD: /^LD_PRELOAD=(.*)$/m.exec(stdout)?.[1] ?? '',
    FAKETIME_TIMESTAMP_FILE: clockFile,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DATA_DIR: data.path,
    PORT: '0',
    LOG_LEVEL: 'info',
  });
  return {
    url: await waitUntilListening(program.child),
    setClock,
    printed: program.printed,
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await data[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Returns the text of the next message that a GraphQL socket receives. */
async function readMessageText(socket: GraphqlSocket): Promise<unknown> {
  for (;;) {
    const { payload } = (await socket.next(({ id }) => id === 'events')) as {
      payload: { data: { conversationEvents: { message?: { text: string } } } };
    };
    if (payload.data.conversationEvents.message) return payload.data.conversationEvents.message.text;
  }
}

/** Sends a message, and returns how far its timestamp is ahead of the clock of the test. */
async function sendMessage(ann: GraphqlClient, text: string): Promise<number> {
  const { sendMessage: result } = await ann.run<{ sendMessage: { message: { sentAt: string } } }>(
    SEND_MESSAGE,
    { text },
  );
  return Date.parse(result.message.sentAt) - Date.now();
}

/** Waits for a packet without a timeout: pings take longer than the timeout of a packet queue. */
function waitForPacket({ socket }: PacketSocket, packet: string): Promise<void> {
  return new Promise((resolve) => {
    socket.on('message', (data: Buffer) => data.toString() === packet && resolve());
  });
}

describe.skipIf(isMissing('faketime'))('a clock that is set', () => {
  // Concurrent, as each waits for pings of its own program and is mostly idle.
  test.concurrent.for(['+600s', '-600s'])(
    'by %s ends no connection, reports no account as offline, and does not interrupt calls and messages',
    { timeout: 120_000 },
    async (offset, { expect }) => {
      await using program = await startProgramWithClock();
      const { url } = program;
      const token = await logIn(url);
      await using ann = createGraphqlClient(url, token);
      await using graphql = await openGraphqlSocket(url, { token });
      graphql.send({ id: 'events', type: 'subscribe', payload: { query: EVENTS } });
      graphql.send({ id: 'presence', type: 'subscribe', payload: { query: PRESENCE } });
      await graphql.next(({ id }) => id === 'presence');
      await graphql.next(({ id }) => id === 'events');
      await using protocol3Client = await openPacketSocket(url, 3);
      await using protocol4Client = await openPacketSocket(url, 4);
      const legacyClients = [protocol3Client, protocol4Client];
      for (const socket of legacyClients) {
        await socket.request('authenticate', { token });
        await socket.request('join_conversation', { conversation_id: 1 });
      }

      await program.setClock(offset);
      const offsetMs = Number.parseInt(offset, 10) * 1_000;
      expect(Math.abs((await sendMessage(ann, 'set')) - offsetMs)).toBeLessThan(30_000);
      await ann.run(SIGNAL);
      // Connections are checked on each ping.
      await Promise.all([once(graphql.socket, 'ping'), waitForPacket(protocol4Client, '2')]);
      protocol4Client.send('3');
      protocol3Client.send('2');
      await protocol3Client.next('3');
      await sendMessage(ann, 'later');

      expect([await readMessageText(graphql), await readMessageText(graphql)]).toEqual(['set', 'later']);
      for (const socket of legacyClients)
        for (const text of ['set', 'later']) expect(await socket.next('42["message"')).toContain(text);
      expect(await protocol4Client.next('42["webrtc_forward"')).toContain('CALLING');
      expect(graphql.pending()).toEqual([]);
      for (const { socket } of [graphql, ...legacyClients]) expect(socket.readyState).toBe(socket.OPEN);
      expect(program.printed.stdout).not.toMatch(/SILENT|"level":50|"level":40(?!.*demo accounts)/);
    },
  );
});
