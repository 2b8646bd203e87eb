import { pipeline, Transform } from 'node:stream';
import type { Readable } from 'node:stream';
import type { Db } from '../db/database.ts';
import { addUsage, readUsage } from '../db/uploads.ts';
import { DomainError } from '../errors.ts';
import { startTimer as startSystemTimer } from '../lib/timeout.ts';
import type { StartTimer } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';

/** More than the files of one message, which clients upload concurrently. */
const MAX_CONCURRENT_UPLOADS = 32;
const RETRY_AFTER_MS = 1_000;
/** An upload must send at least `MIN_WINDOW_BYTES` in each window: 2 KB/s, a weak mobile signal. */
const WINDOW_MS = 30_000;
const MIN_WINDOW_BYTES = 60_000;
const BUFFER_BYTES = 16 * 1024;

export interface UploadLimitsOptions {
  readonly db: Db;
  readonly log: Logger;
  /** Bytes that an account may upload per day. */
  readonly quotaBytes: number;
  readonly startTimer?: StartTimer;
}

/** Limits on the uploads of each account. */
export interface UploadLimits {
  /**
   * Passes the content of an upload to `store` while it meets the limits. Throws RATE_LIMITED for too many concurrent
   * uploads and above the daily quota, LIMIT_EXCEEDED for an upload that is too slow.
   */
  run<Result>(
    account: string,
    content: Readable,
    store: (content: Readable) => Promise<Result>,
  ): Promise<Result>;
}

interface Uploads {
  count: number;
  /** Bytes received by the uploads in flight, which the database does not count yet. */
  bytes: number;
}

/** Creates the limits of this node: the quota counts over all nodes, concurrent uploads on each. */
export function createUploadLimits({
  db,
  log,
  quotaBytes,
  startTimer = startSystemTimer,
}: UploadLimitsOptions): UploadLimits {
  const inFlight = new Map<string, Uploads>();

  const runCounted = async <Result>(
    account: string,
    own: Uploads,
    content: Readable,
    store: (content: Readable) => Promise<Result>,
  ): Promise<Result> => {
    // An error before the pipeline starts is passed on by it.
    content.on('error', () => undefined);
    const { bytes: usedBytes, msUntilReset } = await readUsage(db, account);
    const quotaError = new DomainError(
      'RATE_LIMITED',
      'The daily upload quota is used up. Try again later.',
      {
        retryAfterMs: msUntilReset,
      },
    );
    if (usedBytes + own.bytes >= quotaBytes) throw quotaError;
    let received = 0;
    const metered = new Transform({
      highWaterMark: BUFFER_BYTES,
      transform(chunk: Buffer, _encoding, callback) {
        received += chunk.length;
        own.bytes += chunk.length;
        callback(usedBytes + own.bytes > quotaBytes ? quotaError : null, chunk);
      },
    });
    const watch = watchRate(metered, () => received, startTimer);
    // Errors reach the reader of `metered`.
    pipeline(content, metered, () => undefined);
    try {
      return await store(metered);
    } finally {
      watch[Symbol.dispose]();
      metered.destroy();
      await addUsage(db, account, received).catch((error: unknown) =>
        log.warn({ err: error }, 'failed to persist upload usage'),
      );
      own.bytes -= received;
    }
  };

  return {
    async run(account, content, store) {
      const own = inFlight.get(account) ?? { count: 0, bytes: 0 };
      if (own.count >= MAX_CONCURRENT_UPLOADS)
        throw new DomainError('RATE_LIMITED', 'Too many concurrent uploads. Try again later.', {
          retryAfterMs: RETRY_AFTER_MS,
        });
      own.count += 1;
      inFlight.set(account, own);
      try {
        return await runCounted(account, own, content, store);
      } finally {
        own.count -= 1;
        if (own.count === 0) inFlight.delete(account);
      }
    },
  };
}

/** Destroys the stream when it receives too few bytes within a window. */
function watchRate(stream: Transform, received: () => number, startTimer: StartTimer): Disposable {
  let receivedBefore = 0;
  let cancel = (): unknown => undefined;
  const startWindow = (): void => {
    cancel = startTimer(WINDOW_MS, () => {
      if (stream.writableEnded) return;
      if (received() - receivedBefore < MIN_WINDOW_BYTES) return void stream.destroy(tooSlowError());
      receivedBefore = received();
      startWindow();
    });
  };
  startWindow();
  return { [Symbol.dispose]: () => void cancel() };
}

const tooSlowError = (): DomainError =>
  new DomainError(
    'LIMIT_EXCEEDED',
    `An upload must send at least ${MIN_WINDOW_BYTES} bytes every ${WINDOW_MS / 1_000} s.`,
    { limit: `upload ${MIN_WINDOW_BYTES} bytes per ${WINDOW_MS / 1_000} s` },
  );
