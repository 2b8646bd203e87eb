import { fork } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { instructionsDuring } from './instructions.ts';
import { cpuDuring } from './measure.ts';
import type { Meter } from './measure.ts';
import type { Figures, Measurement } from './rounds.ts';
import { DELIVERIES, ROUND_MS } from './scale.ts';
import type { ClientScript, Command, Outcome } from './load-client-process.ts';

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

export interface DeliveryTarget {
  readonly script: ClientScript;
  /** The delivering process. */
  readonly pid: number;
  /** Messages per call of `publish`; 1 unless given. */
  readonly burst?: number;
  publish(): Promise<unknown>;
  /** Does the same work without receivers. Its cost is subtracted. */
  publishWithoutReceivers?(): Promise<unknown>;
}

/** Connected clients of a delivering process. */
export interface Receivers extends AsyncDisposable {
  /** Publishes once, and resolves when all clients have received the messages. */
  deliverOnce(): Promise<void>;
  /** Runs a round and returns its CPU time in microseconds per delivery. */
  measureCost(): Promise<number>;
  /** Runs a round and returns what it uses per delivery. */
  measure<Figure extends string>(
    meters: Readonly<Record<Figure, Meter>>,
    round?: RoundOptions,
  ): Promise<Figures<Figure>>;
}

export interface RoundOptions {
  readonly deliveries: number;
  readonly ms: number;
}

const LONG_ROUND: RoundOptions = { deliveries: DELIVERIES, ms: ROUND_MS };

const cpuUs: Meter = async (pid, work) => (await cpuDuring(pid, work)) * 1_000;

export async function openReceivers({
  script,
  pid,
  burst = 1,
  publish,
  publishWithoutReceivers,
}: DeliveryTarget): Promise<Receivers> {
  await using stack = new AsyncDisposableStack();
  const clients = stack.use(startLoadClients());
  await clients.run(script);
  await waitUntilIdle(pid);
  const deliverOnce = async (): Promise<void> => {
    await publish();
    await clients.run({ type: 'collect', frames: burst });
  };
  /** Publishes the next message when all clients have received the last one. Returns the number of messages. */
  const deliver = async ({ deliveries, ms }: RoundOptions): Promise<number> => {
    const startedAt = performance.now();
    let messages = 0;
    while (messages * script.count < deliveries && performance.now() - startedAt < ms) {
      await deliverOnce();
      messages += burst;
    }
    return messages;
  };
  const measure = async <Figure extends string>(
    meters: Readonly<Record<Figure, Meter>>,
    round = LONG_ROUND,
  ): Promise<Figures<Figure>> => {
    let messages = 0;
    const delivered = await measureAll(meters, pid, async () => {
      messages = await deliver(round);
    });
    const unreceived = await measureAll(meters, pid, async () => {
      if (publishWithoutReceivers !== undefined)
        for (let sent = 0; sent < messages; sent += burst) await publishWithoutReceivers();
    });
    return mapValues(delivered, (value, name) => (value - unreceived[name]) / (messages * script.count));
  };
  const resources = stack.move();
  return {
    deliverOnce,
    measure,
    measureCost: async () => (await measure({ us: cpuUs })).us,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Measures with several meters concurrently. */
async function measureAll<Figure extends string>(
  meters: Readonly<Record<Figure, Meter>>,
  pid: number,
  work: () => Promise<void>,
): Promise<Figures<Figure>> {
  const figures: Record<string, number> = {};
  let run = work;
  for (const [name, meter] of Object.entries<Meter>(meters)) {
    const inner = run;
    run = async () => {
      figures[name] = await meter(pid, inner);
    };
  }
  await run();
  return figures as Figures<Figure>;
}

const mapValues = <Figure extends string>(
  figures: Figures<Figure>,
  change: (value: number, name: Figure) => number,
): Figures<Figure> =>
  Object.fromEntries(
    Object.entries<number>(figures).map(([name, value]) => [name, change(value, name as Figure)]),
  ) as Figures<Figure>;

/** Measures the CPU time per delivery, and the instructions where the machine counts them. */
export const costOf =
  (receivers: Receivers, round?: RoundOptions): Measurement<'us' | 'instructions'> =>
  () =>
    receivers.measure({ us: cpuUs, instructions: instructionsDuring }, round);

/** Waits until the work of opening or closing many sockets is over, as it must not be measured. */
async function waitUntilIdle(pid: number): Promise<void> {
  while ((await cpuDuring(pid, () => pause(IDLE_MS))) > IDLE_MS / 20);
}
