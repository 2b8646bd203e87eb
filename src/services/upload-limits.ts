import { pipeline, Transform } from 'node:stream';
import type { Readable } from 'node:stream';
import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import type { Db } from '../db/database.ts';
import { addUsage, readUsage } from '../db/uploads.ts';
import { DomainError } from '../errors.ts';
import { startTimer as startSystemTimer } from '../lib/timeout.ts';
import type { StartTimer } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';
import type { LimitName, ReportRefusal } from './refusals.ts';
import { MIN_UPLOAD_BYTES_PER_MS } from './upload-lifetime.ts';

/** More than the files of one message, which clients upload concurrently. */
const MAX_CONCURRENT_UPLOADS = 32;
const RETRY_AFTER_MS = 1_000;
/** An upload must send at least `MIN_WINDOW_BYTES` in each window. */
const WINDOW_MS = 30_000;
const MIN_WINDOW_BYTES = MIN_UPLOAD_BYTES_PER_MS * WINDOW_MS;
const BUFFER_BYTES = 16 * 1024;

export interface UploadLimitsOptions {
  readonly db: Db;
  readonly log: Logger;
  /** Bytes that an account may upload per day. */
  readonly quotaBytes: number;
  readonly reportRefusal?: ReportRefusal | undefined;
  readonly startTimer?: StartTimer;
}

/** Limits on the uploads of each account. */
export interface UploadLimits {
  /**
   * Passes the content of an upload to `store` while it meets the limits. Throws RATE_LIMITED for too many concurrent
   * uploads and above the daily quota, LIMIT_EXCEEDED for an upload that is too slow.
   */
  run<Result>(
    account: ActorRef,
    content: Readable,
    store: (content: Readable) => Promise<Result>,
  ): Promise<Result>;
  /** Throws RATE_LIMITED if an upload of this size would exceed the daily quota. Counts nothing. */
  requireQuota(account: ActorRef, bytes: number): Promise<void>;
  /** Counts an upload that does not pass this server. Throws RATE_LIMITED if it would exceed the daily quota. */
  reserve(account: ActorRef, bytes: number): Promise<void>;
}

/** The uploads of an account that are in flight. */
interface Uploads {
  count: number;
  /** Bytes that they have received, which the database does not count yet. */
  bytes: number;
  /** Bytes uploaded today, as far as the database has told. */
  usedBytes: number;
}

/** Creates the limits of this node: the quota counts over all nodes, concurrent uploads on each. */
export function createUploadLimits({
  db,
  log,
  quotaBytes,
  reportRefusal,
  startTimer = startSystemTimer,
}: UploadLimitsOptions): UploadLimits {
  const inFlight = new Map<string, Uploads>();

  const refuse = (limit: LimitName, account: ActorRef, error: DomainError): DomainError => {
    reportRefusal?.(limit, { account });
    return error;
  };

  const runCounted = async <Result>(
    account: ActorRef,
    own: Uploads,
    content: Readable,
    store: (content: Readable) => Promise<Result>,
  ): Promise<Result> => {
    // An error before the pipeline starts is passed on by it.
    content.on('error', () => undefined);
    const key = actorKey(account);
    const { bytes: usedBytes, msUntilReset } = await readUsage(db, key);
    own.usedBytes = Math.max(own.usedBytes, usedBytes);
    const refuseQuota = () => refuse('upload quota', account, quotaError(msUntilReset));
    if (own.usedBytes + own.bytes >= quotaBytes) throw refuseQuota();
    let received = 0;
    const metered = new Transform({
      highWaterMark: BUFFER_BYTES,
      transform(chunk: Buffer, _encoding, callback) {
        received += chunk.length;
        own.bytes += chunk.length;
        callback(own.usedBytes + own.bytes > quotaBytes ? refuseQuota() : null, chunk);
      },
    });
    const onTooSlow = () => metered.destroy(refuse('upload rate', account, tooSlowError()));
    const watch = watchRate(metered, { received: () => received, onTooSlow, startTimer });
    // Errors reach the reader of `metered`.
    pipeline(content, metered, () => undefined);
    try {
      return await store(metered);
    } finally {
      watch[Symbol.dispose]();
      metered.destroy();
      try {
        // For the uploads that are still in flight, which have read the usage before.
        own.usedBytes = Math.max(own.usedBytes, await addUsage(db, key, received));
      } catch (error) {
        log.warn({ err: error }, 'failed to persist upload usage');
      }
      own.bytes -= received;
    }
  };

  const requireQuota = async (account: ActorRef, bytes: number): Promise<void> => {
    const { bytes: usedBytes, msUntilReset } = await readUsage(db, actorKey(account));
    if (usedBytes + bytes > quotaBytes) throw refuse('upload quota', account, quotaError(msUntilReset));
  };

  return {
    requireQuota,
    async reserve(account, bytes) {
      await requireQuota(account, bytes);
      await addUsage(db, actorKey(account), bytes);
    },
    async run(account, content, store) {
      const key = actorKey(account);
      const own = inFlight.get(key) ?? { count: 0, bytes: 0, usedBytes: 0 };
      if (own.count >= MAX_CONCURRENT_UPLOADS)
        throw refuse('concurrent uploads', account, tooManyUploadsError());
      own.count += 1;
      inFlight.set(key, own);
      try {
        return await runCounted(account, own, content, store);
      } finally {
        own.count -= 1;
        if (own.count === 0) inFlight.delete(key);
      }
    },
  };
}

interface RateWatchOptions {
  /** Returns the bytes received so far. */
  readonly received: () => number;
  readonly onTooSlow: () => void;
  readonly startTimer: StartTimer;
}

/** Calls back when the stream, until it has ended, receives too few bytes within a window. */
function watchRate(stream: Transform, { received, onTooSlow, startTimer }: RateWatchOptions): Disposable {
  let receivedBefore = 0;
  let cancel = (): unknown => undefined;
  const startWindow = (): void => {
    cancel = startTimer(WINDOW_MS, () => {
      if (stream.writableEnded) return;
      if (received() - receivedBefore < MIN_WINDOW_BYTES) return onTooSlow();
      receivedBefore = received();
      startWindow();
    });
  };
  startWindow();
  return { [Symbol.dispose]: () => void cancel() };
}

const quotaError = (retryAfterMs: number): DomainError =>
  new DomainError('RATE_LIMITED', 'The daily upload quota is used up. Try again later.', { retryAfterMs });

const tooManyUploadsError = (): DomainError =>
  new DomainError('RATE_LIMITED', 'Too many concurrent uploads. Try again later.', {
    retryAfterMs: RETRY_AFTER_MS,
  });

const tooSlowError = (): DomainError =>
  new DomainError(
    'LIMIT_EXCEEDED',
    `An upload must send at least ${MIN_WINDOW_BYTES} bytes every ${WINDOW_MS / 1_000} s.`,
    { limit: `upload ${MIN_WINDOW_BYTES} bytes per ${WINDOW_MS / 1_000} s` },
  );
