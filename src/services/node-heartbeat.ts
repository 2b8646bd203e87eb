import * as rows from '../db/presence.ts';
import type { Db } from '../db/database.ts';
import type { Logger } from '../log.ts';
import type { ActorRef } from '../actor.ts';

const BEAT_MS = 5_000;
/** So many beats in a row, before others are taken for dead: after an outage they may just be late, as this one was. */
const STEADY_BEATS = 3;

export interface HeartbeatOptions {
  readonly db: Db;
  readonly log: Logger;
  /** Names this process among the nodes. */
  readonly nodeId: string;
  /** How long a node that stopped is not taken for dead. */
  readonly graceMs: number;
  /** How often the node says that it is alive; one that has been silent for 15 s is dead. */
  readonly beatMs?: number;
}

interface HeartbeatListener {
  /** This node was taken for dead: it must register again. */
  restore(): Promise<void>;
  /** Other nodes died, and with them these went offline. */
  depart(accounts: readonly ActorRef[]): Promise<void>;
}

/** Says every few seconds that this node is alive, and finds out which others no longer are. */
export function startHeartbeat(
  { db, nodeId, log, graceMs, beatMs = BEAT_MS }: HeartbeatOptions,
  listener: HeartbeatListener,
) {
  let steady = 0;
  let lastAt = performance.now();
  let timer: NodeJS.Timeout;
  let beating: Promise<void> = Promise.resolve();
  let stopped = false;

  const beat = async (): Promise<void> => {
    const now = performance.now();
    const isLate = now - lastAt > 2 * beatMs;
    lastAt = now;
    const elapsedMs = await rows.touchNode(db, nodeId);
    if (elapsedMs === undefined) await listener.restore();
    // A database whose clock was set makes every other node look dead, or alive for as long.
    const isClockSet = elapsedMs !== undefined && Math.abs(elapsedMs) > 2 * beatMs;
    steady = isLate || isClockSet ? 0 : steady + 1;
    if (steady >= STEADY_BEATS) await listener.depart(await rows.removeDeadNodes(db, graceMs));
  };
  const schedule = (): void => {
    if (stopped) return;
    timer = setTimeout(() => {
      beating = beat()
        .catch((error: unknown) => {
          steady = 0;
          log.warn({ err: error }, 'could not say that this node is alive; trying again');
        })
        .finally(schedule);
    }, beatMs);
    timer.unref();
  };
  schedule();
  return {
    async stop(): Promise<void> {
      stopped = true;
      clearTimeout(timer);
      await beating;
    },
  };
}
