import { setTimeout as pause } from 'node:timers/promises';
import type { ClusterFault } from './cluster-faults.ts';
import type { Cluster } from './cluster.ts';
import { createDeliveryLog, secretText } from './delivery-log.ts';
import type { DeliveryLog, FaultCounts, ReceivedLog } from './delivery-log.ts';
import { GapClock } from './gap-clock.ts';
import { countFaults, createStart } from './load.ts';
import { READERS } from './readers.ts';
import { KICK } from './revocations.ts';
import { createTestAccounts, requestUntilAvailable } from './test-accounts.ts';
import type { TestAccounts } from './test-accounts.ts';
import { writeByGraphql, writeByLegacyClient } from './writers.ts';

const WRITE_PAUSE_MS = 60;

export interface ClusterRunOptions {
  /** How often the fault is injected. */
  readonly times: number;
  /** Time for the load before the first fault, and after each. */
  readonly calmMs: number;
  /** Multiplies the time that each fault lasts. */
  readonly durationFactor: number;
}

/** The result of a fault: its counts, and the longest gaps, in milliseconds. */
export interface ClusterOutcome extends FaultCounts {
  readonly name: string;
  /** Between two messages of a reader on another node. */
  readonly gap: number;
  /** The same of a reader on the node with the fault. */
  readonly victimGap: number;
  /** Between two acknowledgements of a writer on another node. */
  readonly sendGap: number;
}

/**
 * Injects a fault several times, while members write and read on every node and through the balancer. During the first, a
 * member is removed and another one logs out: what is sent afterwards must not reach them.
 */
export async function runClusterFault(
  cluster: Cluster,
  fault: ClusterFault,
  { times, calmMs, durationFactor }: ClusterRunOptions,
): Promise<ClusterOutcome> {
  await cluster.useNetwork(fault.network);
  const accounts = await createTestAccounts(cluster.url);
  const deliveryLog = createDeliveryLog();
  const start = await createStart(accounts);
  await using stack = new AsyncDisposableStack();
  const on = (url: string): TestAccounts => ({ ...accounts, url });
  const urls = cluster.nodes.map(({ url }) => url);
  const openReader = (name: string, reader: TestAccounts, received: ReceivedLog): void => {
    const opened = READERS[name]?.(reader, start, received);
    stack.defer(async () => opened?.close());
  };
  const received = { others: [] as ReceivedLog[], victim: [] as ReceivedLog[] };
  for (const [index, url] of [cluster.url, ...urls].entries())
    for (const name of Object.keys(READERS)) {
      const place = index === 0 ? 'balancer' : `node ${index}`;
      const log = deliveryLog.addReader(`${name}, ${place}`);
      if (index > 0) received[url === cluster.victim.url ? 'victim' : 'others'].push(log);
      openReader(name, on(url), log);
    }
  const { eve, dan } = accounts;
  for (const [member, bob] of [
    ['removed', eve],
    ['logged out', dan],
  ] as const)
    for (const [index, name] of Object.keys(READERS).entries()) {
      const url = urls[1 + (index % (urls.length - 1))] ?? cluster.url;
      openReader(name, { ...on(url), bob }, deliveryLog.addRevokedReader(`${name}, ${member}`));
    }

  let [isRevoked, isOver] = [false, false];
  async function* generateTexts(writer: number): AsyncGenerator<string> {
    for (let index = 0; !isOver; index += 1) {
      const text = `${writer}.${index}`;
      yield isRevoked ? secretText(text) : text;
      await pause(WRITE_PAUSE_MS);
    }
  }
  const sends: GapClock[] = [];
  const writers = urls.flatMap((url, node) =>
    [writeByGraphql, writeByLegacyClient].map((write, kind) => {
      const log = url === cluster.victim.url ? deliveryLog : withClock(deliveryLog, sends);
      return write(on(url), log, generateTexts(2 * node + kind));
    }),
  );

  await pause(calmMs);
  for (const clock of [
    ...sends,
    ...Object.values(received)
      .flat()
      .map(({ gaps }) => gaps),
  ])
    clock.start();
  for (let count = 0; count < times; count += 1) {
    await fault.inject(cluster);
    const revoked = count === 0 ? revoke(on(urls[0] ?? '')).then(() => (isRevoked = true)) : undefined;
    await pause(fault.lastsMs * durationFactor);
    await fault.end?.(cluster);
    await revoked;
    await pause(calmMs);
  }
  isOver = true;
  await Promise.all(writers);
  const counts = await countFaults(on(urls[0] ?? ''), start, deliveryLog);
  const longest = (clocks: readonly GapClock[]): number =>
    Math.max(...clocks.map(({ longestMs }) => longestMs));
  return {
    name: fault.name,
    ...counts,
    gap: longest(received.others.map(({ gaps }) => gaps)),
    victimGap: longest(received.victim.map(({ gaps }) => gaps)),
    sendGap: longest(sends),
  };
}

/** Removes one member, and logs another one out. Resolves when both are acknowledged. */
async function revoke(accounts: TestAccounts): Promise<void> {
  const { ann, eve, dan, conversation } = accounts;
  await Promise.all([
    requestUntilAvailable(accounts, ann, KICK, { id: conversation.id, email: eve.login }),
    requestUntilAvailable(accounts, dan, 'mutation { logout }', {}),
  ]);
}

/** Returns a log of acknowledgements that also measures the time between them. */
function withClock(log: DeliveryLog, clocks: GapClock[]): Pick<DeliveryLog, 'acknowledge'> {
  const clock = new GapClock();
  clocks.push(clock);
  return {
    acknowledge(text) {
      clock.note();
      log.acknowledge(text);
    },
  };
}
