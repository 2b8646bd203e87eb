import type { Db } from '../db/database.ts';
import * as nodeRows from '../db/nodes.ts';
import type { PresenceChanges } from '../db/presence.ts';
import { startTimer as startSystemTimer } from '../lib/timeout.ts';
import type { StartTimer } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';

/** `removeDeadNodes` (db/nodes.ts) removes nodes whose heartbeat is older than 15 s, three intervals. */
const INTERVAL_MS = 5_000;
/**
 * Consecutive heartbeats of this node that must be on time before it removes others: after an outage of the database,
 * the heartbeats of healthy nodes are late, too.
 */
const MIN_TIMELY_BEATS = 3;

export interface HeartbeatOptions {
  readonly db: Db;
  /** Connections that do not wait for those of `db`: a node whose connections are all busy is alive. */
  readonly control: Db;
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
  onNodesDied(changes: PresenceChanges): Promise<void>;
}

/** Updates this node's heartbeat in the database, and removes nodes whose heartbeat stopped. */
export function startHeartbeat(
  { db, control, nodeId, log, graceMs, startTimer = startSystemTimer }: HeartbeatOptions,
  listener: HeartbeatListener,
) {
  let timelyBeats = 0;
  let lastBeatAt = performance.now();
  let cancelTimer = (): void => undefined;
  let currentBeat: Promise<void> = Promise.resolve();
  let removal: Promise<void> | undefined;
  let isStopped = false;

  const beat = async (): Promise<void> => {
    const now = performance.now();
    // After a pause of this process (a busy event loop, a suspended machine) it cannot judge the other nodes.
    const isLate = now - lastBeatAt > 2 * INTERVAL_MS;
    lastBeatAt = now;
    const elapsedMs = await nodeRows.touchNode(control, nodeId);
    if (elapsedMs === undefined) await listener.onExpired();
    // A jump of the database clock makes every other node look dead, or alive for as long as the jump.
    const hasClockJumped = elapsedMs !== undefined && Math.abs(elapsedMs) > 2 * INTERVAL_MS;
    timelyBeats = isLate || hasClockJumped ? 0 : timelyBeats + 1;
    if (timelyBeats >= MIN_TIMELY_BEATS) removal ??= removeDeadNodes();
  };
  /** Not a part of the beat, which must not wait for locks of others. */
  const removeDeadNodes = async (): Promise<void> => {
    try {
      await listener.onNodesDied(await nodeRows.removeDeadNodes(db, graceMs));
    } catch (error) {
      log.warn({ err: error }, 'removal of dead nodes failed, retrying');
    }
    removal = undefined;
  };
  const schedule = (): void => {
    if (isStopped) return;
    cancelTimer = startTimer(INTERVAL_MS, () => {
      currentBeat = beat()
        .catch((error: unknown) => {
          timelyBeats = 0;
          log.warn({ err: error }, 'heartbeat failed, retrying');
        })
        .finally(schedule);
    });
  };
  schedule();
  return {
    async stop(): Promise<void> {
      isStopped = true;
      cancelTimer();
      await currentBeat;
      await removal;
    },
  };
}
