import { setTimeout as pause } from 'node:timers/promises';
import { createDeliveryLog } from './delivery-log.ts';
import type { FaultCounts } from './delivery-log.ts';
import type { Random } from './random.ts';
import { countFaults, createStart } from './load.ts';
import { READERS } from './readers.ts';
import type { Reader } from './readers.ts';
import type { Server } from './server.ts';
import { startFixture } from './fixtures.ts';
import { createTestAccounts } from './test-accounts.ts';
import { writeByGraphql, writeByLegacyClient } from './writers.ts';

const WRITERS = 8;
/** Up to this number of writes, the pauses between faults have their normal length; longer runs pause longer. */
const SHORT_RUN_WRITES = 1_000;
const MAX_PAUSE_FACTOR = 2;

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
  const readers = Object.entries(READERS).map(([name, openReader]) =>
    openReader(accounts, start, deliveryLog.addReader(name)),
  );
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
  const counts = await countFaults(accounts, start, deliveryLog);
  return { name: scenario.name, injectedFaults, ...counts };
}

function* generateTexts(writer: number, count: number, length = 0): Generator<string> {
  for (let index = 0; index < count; index += 1) yield `${writer}.${index}`.padEnd(length, '.');
}
