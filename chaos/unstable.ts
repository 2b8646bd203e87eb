import { setTimeout as pause } from 'node:timers/promises';
import { openTcpProxy } from '../test/harness/tcp-proxy.ts';
import type { TcpProxy } from '../test/harness/tcp-proxy.ts';
import { openCrowd, waitUntilBack } from './crowd.ts';
import type { FaultCounts } from './delivery-log.ts';
import { startFixture } from './fixtures.ts';

export interface UnstableOptions {
  readonly clients: number;
  /** Each client loses its connection once in this time. */
  readonly cutEveryMs: number;
  /** How often each client loses its connection. */
  readonly cuts: number;
}

export interface UnstableOutcome extends FaultCounts {
  readonly cuts: number;
  readonly longestAbsenceMs: number;
}

/** The clients of a network are cut together, those of the networks one after the other. */
const NETWORKS = 15;

/** Cuts the connections of many clients again and again, while members write. */
export async function runUnstable({ clients, cutEveryMs, cuts }: UnstableOptions): Promise<UnstableOutcome> {
  await using stack = new AsyncDisposableStack();
  const { server } = await startFixture('embedded', stack);
  const networks: TcpProxy[] = [];
  const port = Number(server.address.split(':')[1]);
  for (let index = 0; index < NETWORKS; index += 1) networks.push(stack.use(await openTcpProxy(port)));
  const urlOf = (client: number): string => `http://127.0.0.1:${networks[client % NETWORKS]?.port ?? 0}`;
  const crowd = stack.use(await openCrowd(server.url, clients, { urlOf, isUnstable: true }));
  const startedAt = performance.now();
  for (let cut = 0; cut < cuts; cut += 1)
    for (const network of networks) {
      network.disconnectAll();
      await pause(cutEveryMs / NETWORKS);
    }
  await waitUntilBack(crowd.movements);
  const { returns, longestAbsenceMs } = crowd.movements.take(startedAt);
  return { ...(await crowd.finish()), cuts: returns, longestAbsenceMs };
}
