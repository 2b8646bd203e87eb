import type { ActorRef } from '../actor.ts';
import type { Db } from '../db/database.ts';
import * as leaseRows from '../db/leases.ts';
import { startTimer as startSystemTimer } from '../lib/timeout.ts';
import type { StartTimer } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';

/** A node without a beat for 15 s is dead. */
const INTERVAL_MS = 5_000;
/** Own beats in time before other nodes are declared dead: after an outage their beats may be as late as ours. */
const STEADY_BEATS = 3;

export interface HeartbeatOptions {
  readonly db: Db;
  readonly log: Logger;
  /** Id of this process among the nodes. */
  readonly nodeId: string;
  /** How long the actors of a stopped node stay online. */
  readonly graceMs: number;
  readonly startTimer?: StartTimer;
}

interface HeartbeatListener {
  /** Another node declared this one dead and removed its leases: register again. */
  onExpired(): Promise<void>;
  /** Other nodes died, and these actors went offline with them. */
  onNodesDied(actors: readonly ActorRef[]): Promise<void>;
}

/** Updates this node's heartbeat in the database, and removes nodes whose heartbeat stopped. */
export function startHeartbeat(
  { db, nodeId, log, graceMs, startTimer = startSystemTimer }: HeartbeatOptions,
  listener: HeartbeatListener,
) {
  let steadyBeats = 0;
  let lastBeatAt = performance.now();
  let cancelTimer = (): void => undefined;
  let beating: Promise<void> = Promise.resolve();
  let stopped = false;

  const beat = async (): Promise<void> => {
    const now = performance.now();
    // A busy or suspended process says nothing about the others.
    const isLate = now - lastBeatAt > 2 * INTERVAL_MS;
    lastBeatAt = now;
    const elapsedMs = await leaseRows.touchNode(db, nodeId);
    if (elapsedMs === undefined) await listener.onExpired();
    // A jump of the database clock makes every other node look dead, or alive for as long as the jump.
    const clockJumped = elapsedMs !== undefined && Math.abs(elapsedMs) > 2 * INTERVAL_MS;
    steadyBeats = isLate || clockJumped ? 0 : steadyBeats + 1;
    if (steadyBeats >= STEADY_BEATS) await listener.onNodesDied(await leaseRows.removeDeadNodes(db, graceMs));
  };
  const schedule = (): void => {
    if (stopped) return;
    cancelTimer = startTimer(INTERVAL_MS, () => {
      beating = beat()
        .catch((error: unknown) => {
          steadyBeats = 0;
          log.warn({ err: error }, 'heartbeat failed, retrying');
        })
        .finally(schedule);
    });
  };
  schedule();
  return {
    async stop(): Promise<void> {
      stopped = true;
      cancelTimer();
      await beating;
    },
  };
}
