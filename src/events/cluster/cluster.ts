import { randomBytes } from 'node:crypto';
import { openNotifier } from '../../db/notify.ts';
import type { Notifier, NotifierOptions } from '../../db/notify.ts';
import type { Logger } from '../../log.ts';
import type { Bus } from '../bus.ts';
import { createNoticeSender } from './notice-sender.ts';
import type { NoticeSender } from './notice-sender.ts';
import type { Tails } from '../tail.ts';
import { createDecoder, encodePresence } from './notice-codec.ts';

/** How long a fact can stay unnoticed here whose announcement was lost. Each time, a node says that it is there. */
const COMPARE_MS = 5_000;
/** Other nodes are there unless nothing was heard of them for this long. */
const ALONE_AFTER_MS = 15_000;

export interface ClusterOptions {
  /** Of the PostgreSQL that the nodes share, or of what `open` connects to. */
  readonly url: string;
  /** What carries texts between the nodes; without it, LISTEN and NOTIFY. */
  readonly open?: (options: NotifierOptions) => Promise<Notifier>;
  readonly bus: Bus;
  readonly tails: Tails;
  readonly log: Logger;
  readonly compareMs?: number;
  readonly aloneAfterMs?: number;
}

export interface Cluster extends AsyncDisposable {
  /** Whether the other nodes are heard at this moment. */
  readonly listening: boolean;
}

/**
 * Joins this process's bus to those of the other nodes, on a connection of its own. While that is lost nothing
 * arrives; when it is back, and every few seconds, the open tails are compared with the log. A node that hears of no
 * other sends nothing but that it is there itself: whoever joins says so, and is told what has happened meanwhile.
 */
export async function connectCluster(options: ClusterOptions): Promise<Cluster> {
  const { url, open = openNotifier, bus, tails, log } = options;
  const { compareMs = COMPARE_MS, aloneAfterMs = ALONE_AFTER_MS } = options;
  const origin = randomBytes(4).toString('hex');
  const decode = createDecoder(origin);
  const compare = createCompare(tails, log);
  const joined: { sender?: NoticeSender } = {};
  let heard = performance.now();
  const isAlone = (): boolean => performance.now() - heard > aloneAfterMs;
  const hear = (): void => {
    const wasAlone = isAlone();
    heard = performance.now();
    if (wasAlone) joined.sender?.catchUp();
  };

  const notifier = await open({
    url,
    log,
    onText(text) {
      if (text.startsWith(origin)) return;
      hear();
      try {
        const notice = decode(text);
        if (notice !== undefined) bus.receive(notice);
      } catch (error) {
        log.error({ err: error }, 'another node sent something that cannot be read');
      }
    },
    onListening() {
      // Who spoke meanwhile was not heard.
      heard = performance.now();
      void announce();
      void compare();
    },
  });
  const sender = createNoticeSender(origin, notifier, isAlone);
  joined.sender = sender;
  const announce = async (): Promise<void> => {
    try {
      await notifier.check();
      await notifier.send([encodePresence(origin)]);
      sender.catchUp();
    } catch {
      // It is reported, and made good, by the notifier itself.
    }
  };
  await announce();
  bus.connect({ send: (notices) => sender.add(notices) });
  const timer = setInterval(() => {
    void compare();
    sender.forgetOld();
    void announce();
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
