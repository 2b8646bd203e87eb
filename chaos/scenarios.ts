import { setTimeout as pause } from 'node:timers/promises';
import { createLedger } from './delivery-log.ts';
import type { Tally } from './delivery-log.ts';
import type { Random } from './random.ts';
import {
  readByEventStream,
  readByGraphql,
  readBySocket,
  readResumableEventStream,
  readResumableSocket,
} from './readers.ts';
import type { Begin, Reader } from './readers.ts';
import type { Server } from './server.ts';
import { setStage } from './fixtures.ts';
import { createWorld, insist, readAll } from './test-accounts.ts';
import type { World } from './test-accounts.ts';
import { writeByGraphql, writeBySocket } from './writers.ts';

const WRITERS = 8;
/** So many writes are broken into as often as can be; in longer runs there is time to write more in between. */
const SHORT = 1_000;
const MAX_CALM = 2;
const CATCH_UP_MS = 60_000;
const BEGIN = `mutation ($id: ID!) {
  sendMessage(conversationId: $id, text: "begin") { message { legacyId conversation { eventCursor } } }
}`;

/** What is at hand to break. */
interface Stage {
  readonly server: Server;
  readonly readers: readonly Reader[];
  readonly random: Random;
  readonly postgres: { restart(mode: 'fast' | 'immediate'): Promise<void> } | undefined;
}

export interface Scenario {
  readonly name: string;
  readonly database: 'embedded' | 'postgres';
  /** How long each text is made, in characters; without it, they are short. */
  readonly textLength?: number;
  /** How long all is well between two disturbances, in a short run. */
  readonly calmMs: readonly [from: number, to: number];
  /** Breaks something once. Called again, with the number of times before, while there is something left to write. */
  disturb(stage: Stage, count: number): Promise<void>;
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'kill -9 of the server',
    database: 'embedded',
    calmMs: [500, 1_500],
    async disturb({ server, random }) {
      await server.kill();
      await pause(random.between(0, 300));
      await server.start();
    },
  },
  {
    name: 'restarts by SIGTERM and kill -9',
    database: 'embedded',
    calmMs: [500, 1_500],
    async disturb({ server, random }, count) {
      await (count % 2 === 0 ? server.stop() : server.kill());
      await pause(random.between(0, 300));
      await server.start();
    },
  },
  {
    name: 'connections cut, and half open',
    database: 'embedded',
    calmMs: [200, 800],
    async disturb({ server: { network }, random }) {
      if (random.between(0, 2) > 0) return network.cut();
      network.mute();
      await pause(random.between(100, 500));
      network.unmute();
    },
  },
  {
    name: 'readers that stall',
    database: 'embedded',
    // So that what a stalled reader misses is more than its socket and its buffer hold.
    textLength: 8_000,
    calmMs: [100, 400],
    async disturb({ readers, random }) {
      random.pick(readers).stall?.(random.between(500, 3_000));
    },
  },
  {
    name: 'PostgreSQL restarted',
    database: 'postgres',
    calmMs: [500, 1_500],
    async disturb({ postgres, random }) {
      await postgres?.restart(random.pick(['fast', 'immediate']));
    },
  },
];

/** A scenario that ran: what it counted, and how often it broke something. */
export interface Outcome extends Tally {
  readonly name: string;
  readonly disturbances: number;
}

/** Writes so many messages by both doors, while readers on all transports follow and things break. */
export async function runScenario(scenario: Scenario, writes: number, random: Random): Promise<Outcome> {
  await using stack = new AsyncDisposableStack();
  const { server, postgres } = await setStage(scenario.database, stack);
  const world = await createWorld(server.url);
  const ledger = createLedger();
  const begin = await beginIn(world);
  const readers = [
    readByGraphql(world, begin, ledger.reader('graphql-ws')),
    readResumableSocket(world, begin, ledger.reader('parley/client, graphql-ws')),
    readResumableEventStream(world, begin, ledger.reader('parley/client, graphql-sse')),
    readByEventStream(world, begin, ledger.reader('event stream')),
    readBySocket(world, begin, ledger.reader('socket.io 1')),
    readBySocket(world, begin, ledger.reader('socket.io 2')),
  ];
  stack.defer(async () => void (await Promise.all(readers.map((reader) => reader.close()))));
  let isWriting = true;
  const share = Math.ceil(writes / WRITERS);
  const writing = Promise.all(
    Array.from({ length: WRITERS }, (_, writer) => {
      const write = writer % 2 === 0 ? writeByGraphql : writeBySocket;
      return write(world, ledger, texts(writer, share, scenario.textLength));
    }),
  ).finally(() => (isWriting = false));
  const calm = Math.min(MAX_CALM, Math.max(1, writes / SHORT));
  const [from, to] = scenario.calmMs;
  let disturbances = 0;
  while (isWriting) {
    await pause(random.between(from, to) * calm);
    await scenario.disturb({ server, readers, random, postgres }, disturbances);
    disturbances += 1;
  }
  await writing;
  const stored = (await readAll(world)).filter(({ id }) => id > begin.messageId);
  const deadline = Date.now() + CATCH_UP_MS;
  while (!ledger.isComplete(stored) && Date.now() < deadline) await pause(100);
  return { name: scenario.name, disturbances, ...ledger.tally(stored) };
}

/** A socket that has heard nothing yet has no place to come back to: a first message gives it one. */
async function beginIn(world: World): Promise<Begin> {
  const answer = await insist<{
    sendMessage: { message: { legacyId: number; conversation: { eventCursor: string } } };
  }>(world, world.ann, BEGIN, { id: world.conversation.id });
  if (answer === undefined || 'code' in answer) throw new Error('There is no place to begin at.');
  const { legacyId, conversation } = answer.data.sendMessage.message;
  return { cursor: conversation.eventCursor, messageId: legacyId };
}

function* texts(writer: number, count: number, length = 0): Generator<string> {
  for (let index = 0; index < count; index += 1) yield `${writer}.${index}`.padEnd(length, '.');
}
