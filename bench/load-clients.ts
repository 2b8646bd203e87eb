import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { cpuDuring } from './measure.ts';
import type { ClientScript, Command, Outcome } from './load-client-process.ts';

/** Deliveries per round: enough to make the resolution of CPU times (10 ms) negligible. */
const DELIVERIES = 30_000;
const MAX_MESSAGES = 300;
/** Per thousand subscribers: long enough for the slowest peer to deliver a message before the next one. */
const PAUSE_MS = 100;
const IDLE_MS = 400;

/** Clients in a separate process. */
export interface LoadClients extends AsyncDisposable {
  /** Runs a command. Throws if a client failed. */
  run(command: Command): Promise<void>;
  /** Runs a command. Failures are part of the result. */
  attempt(command: Command): Promise<Outcome>;
}

export function startLoadClients(): LoadClients {
  const child = fork(new URL('load-client-process.ts', import.meta.url));
  const send = async (command: Command): Promise<Outcome> => {
    const reply = once(child, 'message') as Promise<[Outcome]>;
    child.send(command);
    return (await reply)[0];
  };
  return {
    async run(command) {
      const { failures } = await send(command);
      if (failures.length > 0) throw new Error(`${failures.length} clients failed: ${failures[0]}`);
    },
    attempt: send,
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, 'exit');
    },
  };
}

const countMessages = (subscribers: number): number =>
  Math.min(MAX_MESSAGES, Math.ceil(DELIVERIES / subscribers));

/** Publishes the messages of a round at a fixed rate. */
async function publishAll(subscribers: number, publish: () => Promise<unknown>): Promise<void> {
  for (let remaining = countMessages(subscribers); remaining > 0; remaining -= 1) {
    await publish();
    await pause((PAUSE_MS * subscribers) / 1_000);
  }
}

export interface DeliveryTarget {
  readonly script: ClientScript;
  /** The delivering process. */
  readonly pid: number;
  publish(): Promise<unknown>;
  /** Does the same work without receivers. Its cost is subtracted. */
  publishWithoutReceivers?(): Promise<unknown>;
}

/** Connected clients of a delivering process. */
export interface Receivers extends AsyncDisposable {
  /** Runs a round and returns its CPU time in microseconds per delivery. */
  measureCost(): Promise<number>;
}

export async function openReceivers({
  script,
  pid,
  publish,
  publishWithoutReceivers,
}: DeliveryTarget): Promise<Receivers> {
  await using stack = new AsyncDisposableStack();
  const clients = stack.use(startLoadClients());
  const { count } = script;
  await clients.run(script);
  await waitUntilIdle(pid);
  const resources = stack.move();
  return {
    async measureCost() {
      const idleMs =
        publishWithoutReceivers === undefined
          ? 0
          : await cpuDuring(pid, () => publishAll(count, publishWithoutReceivers));
      const ms = await cpuDuring(pid, async () => {
        await publishAll(count, publish);
        await clients.run({ type: 'collect', frames: countMessages(count) });
      });
      return ((ms - idleMs) * 1_000) / (countMessages(count) * count);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Waits until the work of opening or closing many sockets is over, as it must not be measured. */
async function waitUntilIdle(pid: number): Promise<void> {
  while ((await cpuDuring(pid, () => pause(IDLE_MS))) > IDLE_MS / 20);
}
