import { randomBytes } from 'node:crypto';
import { openNotifier } from '../db/notify.ts';
import type { Notifier } from '../db/notify.ts';
import type { Logger } from '../log.ts';
import type { Bus } from './bus.ts';
import { createOutbox } from './outbox.ts';
import type { Tails } from './tail.ts';
import { createDecoder } from './wire.ts';

/** How long a fact can stay unnoticed here whose announcement was lost. */
const COMPARE_MS = 5_000;

export interface ClusterOptions {
  /** Of the PostgreSQL that the nodes share. */
  readonly url: string;
  readonly bus: Bus;
  readonly tails: Tails;
  readonly log: Logger;
  readonly compareMs?: number;
}

/**
 * Joins this process's bus to those of the other nodes, by LISTEN and NOTIFY on a connection of its own. While that
 * is lost nothing arrives; when it is back, and every few seconds, the open tails are compared with the log.
 */
export async function connectCluster(options: ClusterOptions): Promise<AsyncDisposable> {
  const { url, bus, tails, log, compareMs = COMPARE_MS } = options;
  const origin = randomBytes(4).toString('hex');
  const decode = createDecoder(origin);
  let notifier: Notifier | undefined;
  const outbox = createOutbox(origin, () => notifier);
  const compare = createCompare(tails, log);

  notifier = await openNotifier({
    url,
    log,
    onText(text) {
      try {
        const notice = decode(text);
        if (notice !== undefined) bus.receive(notice);
      } catch (error) {
        log.error({ err: error }, 'another node sent something that cannot be read');
      }
    },
    onListening() {
      outbox.catchUp();
      void compare();
    },
  });
  bus.connect({ send: (notices) => outbox.add(notices) });
  const timer = setInterval(() => {
    void compare();
    // A failure is reported, and made good, by the notifier itself.
    void notifier.check().catch(() => undefined);
  }, compareMs);
  timer.unref();

  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      bus.connect({ send: () => undefined });
      await notifier[Symbol.asyncDispose]();
    },
  };
}

/** Compares, unless it is about to do so anyway. */
function createCompare(tails: Tails, log: Logger): () => Promise<void> {
  let comparing = false;
  return async () => {
    if (comparing) return;
    comparing = true;
    try {
      await tails.compare();
    } catch (error) {
      log.warn({ err: error }, 'could not compare the open topics with the log; trying again');
    }
    comparing = false;
  };
}
