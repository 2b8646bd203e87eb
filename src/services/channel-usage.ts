import { addUses, firstDay, sumByChannel, sumByClient } from '../db/channel-usage.ts';
import type { ChannelSummary, ChannelUse, ClientSummary } from '../db/channel-usage.ts';
import type { Db } from '../db/database.ts';
import { accountTopic } from '../events/event.ts';
import type { Logger } from '../log.ts';
import type { ActorRef } from '../actor.ts';

export const USAGE_RETENTION_DAYS = 90;
const DAY_MS = 86_400_000;
const FLUSH_MS = 60_000;
/** Different uses that wait to be written. Beyond it they are not counted. */
const MAX_WAITING = 50_000;

/** One use of a legacy channel. */
export interface Use {
  readonly channel: string;
  readonly protocol: number;
  readonly library: string;
  readonly account: ActorRef | undefined;
}

/** What was used since a day. */
export interface UsageReport {
  /** The first of the days, `YYYY-MM-DD` in UTC. */
  readonly since: string;
  readonly until: string;
  /** The first day of which anything is known; null before any. */
  readonly knownSince: string | null;
  readonly channels: readonly ChannelSummary[];
  readonly clients: readonly ClientSummary[];
}

/** Counts in the database, by day, which accounts still use which legacy channels. */
export interface ChannelUsage extends AsyncDisposable {
  /** For how many days a use is known. */
  readonly keptDays: number;
  /** Counts one use; it is written within a minute. */
  note(use: Use): void;
  /** What was used in so many days, today included: on this node up to now, on others up to a minute ago. */
  read(days: number): Promise<UsageReport>;
}

export function createChannelUsage({ db, log }: { readonly db: Db; readonly log: Logger }): ChannelUsage {
  let waiting = new Map<string, ChannelUse>();
  let writing: Promise<void> = Promise.resolve();

  const write = async (): Promise<void> => {
    const uses = waiting;
    if (uses.size === 0) return;
    waiting = new Map();
    try {
      await addUses(db, [...uses.values()]);
    } catch (error) {
      log.warn({ err: error, uses: uses.size }, 'what old clients used could not be written down');
      for (const use of uses.values()) add(use);
    }
  };
  const flush = (): Promise<void> => (writing = writing.then(write));
  const timer = setInterval(() => void flush(), FLUSH_MS);
  timer.unref();

  const add = (use: ChannelUse): void => {
    const key = [use.day, use.channel, use.protocol, use.library, use.account].join(' ');
    const uses = use.uses + (waiting.get(key)?.uses ?? 0);
    if (waiting.has(key) || waiting.size < MAX_WAITING) waiting.set(key, { ...use, uses });
  };

  return {
    keptDays: USAGE_RETENTION_DAYS,
    note({ account, ...use }) {
      add({ ...use, day: daysAgo(0), account: account === undefined ? '' : accountTopic(account), uses: 1 });
    },
    async read(days) {
      await flush();
      const since = daysAgo(days - 1);
      const knownSince = await firstDay(db);
      // One after the other: on a large table each keeps a connection of the pool busy.
      const channels = await sumByChannel(db, since);
      return { since, until: daysAgo(0), knownSince, channels, clients: await sumByClient(db, since) };
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await flush();
    },
  };
}

/** A day in UTC, as `YYYY-MM-DD`. */
export const daysAgo = (days: number): string =>
  new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 10);
