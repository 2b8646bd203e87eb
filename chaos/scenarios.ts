import { setTimeout as pause } from 'node:timers/promises';
import { createDeliveryLog } from './delivery-log.ts';
import type { FaultCounts } from './delivery-log.ts';
import type { Random } from './random.ts';
import {
  openEventStreamReader,
  openGraphqlReader,
  openLegacyReader,
  openResumableEventStreamReader,
  openResumableWebSocketReader,
} from './readers.ts';
import type { Reader, Start } from './readers.ts';
import type { Server } from './server.ts';
import { startFixture } from './fixtures.ts';
import { createTestAccounts, requestUntilAvailable, readAllMessages } from './test-accounts.ts';
import type { TestAccounts } from './test-accounts.ts';
import { writeByGraphql, writeByLegacyClient } from './writers.ts';

const WRITERS = 8;
/** Up to this number of writes, the pauses between faults have their normal length; longer runs pause longer. */
const SHORT_RUN_WRITES = 1_000;
const MAX_PAUSE_FACTOR = 2;
const CATCH_UP_TIMEOUT_MS = 60_000;
const SEND_FIRST = `mutation ($id: ID!) {
  sendMessage(conversationId: $id, text: "begin") { message { legacyId conversation { eventCursor } } }
}`;

/** The targets of faults. */
interface Targets {
  readonly server: Server;
  readonly readers: readonly Reader[];
  readonly random: Random;
  readonly postgres: { restart(mode: 'fast' | 'immediate'): Promise<void> } | undefined;
}

export interface Scenario {
  readonly name: string;
  readonly database: 'embedded' | 'postgres';
  /** Length of each text in characters. Default: short. */
  readonly textLength?: number;
  /** Pause between two faults in a short run. */
  readonly pauseMs: readonly [from: number, to: number];
  /** Injects one fault. Called repeatedly while writes are pending, with the number of previous calls. */
  injectFault(targets: Targets, count: number): Promise<void>;
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'kill -9 of the server',
    database: 'embedded',
    pauseMs: [500, 1_500],
    async injectFault({ server, random }) {
      await server.kill();
      await pause(random.between(0, 300));
      await server.start();
    },
  },
  {
    name: 'restarts by SIGTERM and kill -9',
    database: 'embedded',
    pauseMs: [500, 1_500],
    async injectFault({ server, random }, count) {
      await (count % 2 === 0 ? server.stop() : server.kill());
      await pause(random.between(0, 300));
      await server.start();
    },
  },
  {
    name: 'connections cut or half-open',
    database: 'embedded',
    pauseMs: [200, 800],
    async injectFault({ server: { network }, random }) {
      if (random.between(0, 2) > 0) return network.disconnectAll();
      network.mute();
      await pause(random.between(100, 500));
      network.unmute();
    },
  },
  {
    name: 'stalled readers',
    database: 'embedded',
    // Missed events must exceed the socket and stream buffers of a stalled reader.
    textLength: 8_000,
    pauseMs: [100, 400],
    async injectFault({ readers, random }) {
      random.pick(readers).stall?.(random.between(500, 3_000));
    },
  },
  {
    name: 'PostgreSQL restarted',
    database: 'postgres',
    pauseMs: [500, 1_500],
    async injectFault({ postgres, random }) {
      await postgres?.restart(random.pick(['fast', 'immediate']));
    },
  },
];

/** The result of a scenario: its counts, and the number of injected faults. */
export interface Outcome extends FaultCounts {
  readonly name: string;
  readonly injectedFaults: number;
}

/** Writes messages over GraphQL and Socket.IO while readers on all transports follow and faults are injected. */
export async function runScenario(scenario: Scenario, writes: number, random: Random): Promise<Outcome> {
  await using stack = new AsyncDisposableStack();
  const { server, postgres } = await startFixture(scenario.database, stack);
  const accounts = await createTestAccounts(server.url);
  const deliveryLog = createDeliveryLog();
  const start = await createStart(accounts);
  const readers = [
    openGraphqlReader(accounts, start, deliveryLog.addReader('graphql-ws')),
    openResumableWebSocketReader(accounts, start, deliveryLog.addReader('parley/client, graphql-ws')),
    openResumableEventStreamReader(accounts, start, deliveryLog.addReader('parley/client, graphql-sse')),
    openEventStreamReader(accounts, start, deliveryLog.addReader('event stream')),
    openLegacyReader(accounts, start, deliveryLog.addReader('socket.io 1')),
    openLegacyReader(accounts, start, deliveryLog.addReader('socket.io 2')),
  ];
  stack.defer(async () => void (await Promise.all(readers.map((reader) => reader.close()))));
  let isWriting = true;
  const writesPerWriter = Math.ceil(writes / WRITERS);
  const writers = Promise.all(
    Array.from({ length: WRITERS }, (_, writer) => {
      const write = writer % 2 === 0 ? writeByGraphql : writeByLegacyClient;
      return write(accounts, deliveryLog, generateTexts(writer, writesPerWriter, scenario.textLength));
    }),
  ).finally(() => (isWriting = false));
  const pauseFactor = Math.min(MAX_PAUSE_FACTOR, Math.max(1, writes / SHORT_RUN_WRITES));
  const [from, to] = scenario.pauseMs;
  let injectedFaults = 0;
  while (isWriting) {
    await pause(random.between(from, to) * pauseFactor);
    await scenario.injectFault({ server, readers, random, postgres }, injectedFaults);
    injectedFaults += 1;
  }
  await writers;
  const stored = (await readAllMessages(accounts)).filter(({ id }) => id > start.messageId);
  const deadline = Date.now() + CATCH_UP_TIMEOUT_MS;
  while (!deliveryLog.isComplete(stored) && Date.now() < deadline) await pause(100);
  return { name: scenario.name, injectedFaults, ...deliveryLog.countFaults(stored) };
}

/** Sends a first message: a legacy client needs a message id to resume from. */
async function createStart(accounts: TestAccounts): Promise<Start> {
  const response = await requestUntilAvailable<{
    sendMessage: { message: { legacyId: number; conversation: { eventCursor: string } } };
  }>(accounts, accounts.ann, SEND_FIRST, { id: accounts.conversation.id });
  if (response === undefined || 'code' in response) throw new Error('The first message could not be sent.');
  const { legacyId, conversation } = response.data.sendMessage.message;
  return { cursor: conversation.eventCursor, messageId: legacyId };
}

function* generateTexts(writer: number, count: number, length = 0): Generator<string> {
  for (let index = 0; index < count; index += 1) yield `${writer}.${index}`.padEnd(length, '.');
}
