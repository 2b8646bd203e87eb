import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { cpuDuring } from './measure.ts';
import type { Opening, Order, Outcome } from './load-client-process.ts';

/** Deliveries in a round: enough that the clock of the system, which counts hundredths, does not matter. */
const DELIVERIES = 30_000;
const MAX_MESSAGES = 300;
/** For each thousand subscribers, so that the slowest peer has delivered one message before the next one comes. */
const PAUSE_MS = 100;
const IDLE_MS = 400;

/** Many clients, in a process of their own. */
export interface Audience extends AsyncDisposable {
  /** Throws when something went wrong. */
  order(order: Order): Promise<void>;
  /** What went wrong is part of the answer. */
  attempt(order: Order): Promise<Outcome>;
}

export function startAudience(): Audience {
  const clients = fork(new URL('load-client-process.ts', import.meta.url));
  const ask = async (order: Order): Promise<Outcome> => {
    const answered = once(clients, 'message') as Promise<[Outcome]>;
    clients.send(order);
    return (await answered)[0];
  };
  return {
    async order(order) {
      const { failures } = await ask(order);
      if (failures.length > 0) throw new Error(`${failures.length} times it went wrong: ${failures[0]}`);
    },
    attempt: ask,
    async [Symbol.asyncDispose]() {
      clients.kill();
      await once(clients, 'exit');
    },
  };
}

const messagesFor = (subscribers: number): number =>
  Math.min(MAX_MESSAGES, Math.ceil(DELIVERIES / subscribers));

/** Publishes at an even pace. */
async function publishAll(subscribers: number, publish: () => Promise<unknown>): Promise<void> {
  for (let left = messagesFor(subscribers); left > 0; left -= 1) {
    await publish();
    await pause((PAUSE_MS * subscribers) / 1_000);
  }
}

export interface Delivery {
  readonly opening: Opening;
  /** Of the process that delivers. */
  readonly pid: number;
  publish(): Promise<unknown>;
  /** The same work, but for nobody: what that costs is no part of the deliveries. */
  publishToNobody?(): Promise<unknown>;
}

/** The clients of one that delivers. */
export interface Seats extends AsyncDisposable {
  /** Processor time of a round, in microseconds for each delivery. */
  cost(): Promise<number>;
}

export async function openSeats({ opening, pid, publish, publishToNobody }: Delivery): Promise<Seats> {
  await using stack = new AsyncDisposableStack();
  const audience = stack.use(startAudience());
  const { count } = opening;
  await audience.order(opening);
  await untilIdle(pid);
  const owned = stack.move();
  return {
    async cost() {
      const idleMs =
        publishToNobody === undefined ? 0 : await cpuDuring(pid, () => publishAll(count, publishToNobody));
      const ms = await cpuDuring(pid, async () => {
        await publishAll(count, publish);
        await audience.order({ type: 'collect', frames: messagesFor(count) });
      });
      return ((ms - idleMs) * 1_000) / (messagesFor(count) * count);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What comes of many who open or close at once is no part of what is measured. */
async function untilIdle(pid: number): Promise<void> {
  while ((await cpuDuring(pid, () => pause(IDLE_MS))) > IDLE_MS / 20);
}
