import { randomBytes } from 'node:crypto';
import { openNotifier } from '../db/notify.ts';
import type { Notifier, NotifierOptions } from '../db/notify.ts';
import type { Logger } from '../log.ts';
import type { Bus } from './bus.ts';
import { createOutbox } from './outbox.ts';
import type { Outbox } from './outbox.ts';
import type { Tails } from './tail.ts';
import { createDecoder } from './wire.ts';

/** How long a fact can stay unnoticed here whose announcement was lost. */
const COMPARE_MS = 5_000;

export interface ClusterOptions {
  /** Of the PostgreSQL that the nodes share, or of what `open` connects to. */
  readonly url: string;
  /** What carries texts between the nodes; without it, LISTEN and NOTIFY. */
  readonly open?: (options: NotifierOptions) => Promise<Notifier>;
  readonly bus: Bus;
  readonly tails: Tails;
  readonly log: Logger;
  readonly compareMs?: number;
}

export interface Cluster extends AsyncDisposable {
  /** Whether the other nodes are heard at this moment. */
  readonly listening: boolean;
}

/**
 * Joins this process's bus to those of the other nodes, on a connection of its own. While that is lost nothing
 * arrives; when it is back, and every few seconds, the open tails are compared with the log.
 */
export async function connectCluster(options: ClusterOptions): Promise<Cluster> {
  const { url, open = openNotifier, bus, tails, log, compareMs = COMPARE_MS } = options;
  const origin = randomBytes(4).toString('hex');
  const decode = createDecoder(origin);
  const compare = createCompare(tails, log);
  const joined: { outbox?: Outbox } = {};

  const notifier = await open({
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
      joined.outbox?.catchUp();
      void compare();
    },
  });
  const outbox = createOutbox(origin, notifier);
  joined.outbox = outbox;
  bus.connect({ send: (notices) => outbox.add(notices) });
  const timer = setInterval(() => {
    void compare();
    // A failure is reported, and made good, by the notifier itself.
    notifier.check().then(
      () => outbox.catchUp(),
      () => undefined,
    );
  }, compareMs);
  timer.unref();

  return {
    get listening() {
      return notifier.listening;
    },
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
