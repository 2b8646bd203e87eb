import type { ActorRef } from '../actor.ts';
import { addUsage, firstDay, sumByChannel, sumByClient } from '../db/channel-usage.ts';
import type { ChannelSummary, ChannelUse, ClientSummary } from '../db/channel-usage.ts';
import type { Db } from '../db/database.ts';
import { accountTopic } from '../events/event.ts';
import type { Logger } from '../log.ts';

export const USAGE_RETENTION_DAYS = 90;
const DAY_MS = 86_400_000;
const FLUSH_INTERVAL_MS = 60_000;
/** Distinct uses buffered between two flushes; further ones are not counted. */
const MAX_BUFFERED_USES = 50_000;

/** One use of a legacy channel. */
export interface Use {
  readonly channel: string;
  readonly protocol: number;
  readonly library: string;
  /** Undefined before authentication. */
  readonly account: ActorRef | undefined;
}

export interface UsageReport {
  /** First and last day of the report, `YYYY-MM-DD` in UTC. */
  readonly since: string;
  readonly until: string;
  /** First day with any recorded use; null if there is none. */
  readonly knownSince: string | null;
  readonly channels: readonly ChannelSummary[];
  readonly clients: readonly ClientSummary[];
}

/** Counts uses of legacy channels by day and account. Buffers them and writes to the database every minute. */
export interface ChannelUsage extends AsyncDisposable {
  /** Days after which a use is deleted. */
  readonly retentionDays: number;
  /** Counts a use. */
  record(use: Use): void;
  /** Returns the uses of the last `days` days, today included: other nodes' are up to a minute old. */
  read(days: number): Promise<UsageReport>;
}

export interface ChannelUsageOptions {
  readonly db: Db;
  readonly log: Logger;
  /** The time that gives a use its day, in milliseconds since 1970. Default: by this node's clock. */
  readonly now?: () => number;
}

export function createChannelUsage({ db, log, now = Date.now }: ChannelUsageOptions): ChannelUsage {
  let buffer = new Map<string, ChannelUse>();
  let lastWrite: Promise<void> = Promise.resolve();

  const write = async (): Promise<void> => {
    const uses = buffer;
    if (uses.size === 0) return;
    buffer = new Map();
    try {
      await addUsage(db, [...uses.values()]);
    } catch (error) {
      log.warn({ err: error, uses: uses.size }, 'writing legacy channel usage failed, retrying later');
      for (const use of uses.values()) add(use);
    }
  };
  const flush = (): Promise<void> => (lastWrite = lastWrite.then(write));
  const timer = setInterval(() => void flush(), FLUSH_INTERVAL_MS);
  timer.unref();

  const add = (use: ChannelUse): void => {
    const key = [use.day, use.channel, use.protocol, use.library, use.account].join(' ');
    const uses = use.uses + (buffer.get(key)?.uses ?? 0);
    if (buffer.has(key) || buffer.size < MAX_BUFFERED_USES) buffer.set(key, { ...use, uses });
  };

  return {
    retentionDays: USAGE_RETENTION_DAYS,
    record({ account, ...use }) {
      add({
        ...use,
        day: daysAgo(0, now()),
        account: account === undefined ? '' : accountTopic(account),
        uses: 1,
      });
    },
    async read(days) {
      await flush();
      const since = daysAgo(days - 1, now());
      const knownSince = await firstDay(db);
      // In sequence: on a large table each query occupies a pooled connection for a while.
      const channels = await sumByChannel(db, since);
      return { since, until: daysAgo(0, now()), knownSince, channels, clients: await sumByClient(db, since) };
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await flush();
    },
  };
}

/** Returns the day in UTC, some days before a time, as `YYYY-MM-DD`. */
export const daysAgo = (days: number, now: number): string =>
  new Date(now - days * DAY_MS).toISOString().slice(0, 10);
