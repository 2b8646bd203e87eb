import { randomBytes } from 'node:crypto';
import { openNotifier } from '../../db/notify.ts';
import type { Notifier, NotifierOptions } from '../../db/notify.ts';
import type { Logger } from '../../log.ts';
import type { Bus } from '../bus.ts';
import { createNoticeSender } from './notice-sender.ts';
import type { NoticeSender } from './notice-sender.ts';
import type { Tails } from '../tail.ts';
import { createDecoder, encodePresence } from './notice-codec.ts';

/**
 * Interval at which open tails are compared with the log, to find events whose notices were lost, and presence is sent.
 */
const COMPARE_INTERVAL_MS = 5_000;
/** A node that received nothing for this long assumes that it has no peers. */
const NO_PEERS_AFTER_MS = 15_000;

export interface ClusterOptions {
  /** URL of the PostgreSQL database that the nodes share, or of the server that `open` connects to. */
  readonly url: string;
  /** Default: LISTEN and NOTIFY. */
  readonly open?: (options: NotifierOptions) => Promise<Notifier>;
  readonly bus: Bus;
  readonly tails: Tails;
  readonly log: Logger;
  readonly compareMs?: number;
  readonly noPeersAfterMs?: number;
}

export interface Cluster extends AsyncDisposable {
  /** Whether notices of other nodes are received. */
  readonly listening: boolean;
}

/**
 * Connects the bus of this process to those of the other nodes, on a connection of its own. While the connection is
 * lost no notices arrive; after a reconnect, and periodically, the open tails are compared with the log. A node without
 * peers sends only its presence. A joining node announces itself, and then receives the heads of topics that advanced
 * before.
 */
export async function connectCluster(options: ClusterOptions): Promise<Cluster> {
  const { url, open = openNotifier, bus, tails, log } = options;
  const { compareMs = COMPARE_INTERVAL_MS, noPeersAfterMs = NO_PEERS_AFTER_MS } = options;
  const origin = randomBytes(4).toString('hex');
  const decode = createDecoder(origin);
  const compare = createCompare(tails, log);
  /** The sender is set once the notifier, which it needs, is open. */
  const state: { sender?: NoticeSender } = {};
  let lastReceived = performance.now();
  const hasNoPeers = (): boolean => performance.now() - lastReceived > noPeersAfterMs;
  const markReceived = (): void => {
    const hadNoPeers = hasNoPeers();
    lastReceived = performance.now();
    if (hadNoPeers) state.sender?.catchUp();
  };

  const notifier = await open({
    url,
    log,
    onText(text) {
      if (text.startsWith(origin)) return;
      markReceived();
      try {
        const notice = decode(text);
        if (notice !== undefined) bus.receive(notice);
      } catch (error) {
        log.error({ err: error }, 'failed to decode cluster message');
      }
    },
    onListening() {
      // While disconnected nothing could arrive, so peers may exist.
      lastReceived = performance.now();
      void announce();
      void compare();
    },
  });
  const sender = createNoticeSender(origin, notifier, hasNoPeers);
  state.sender = sender;
  const announce = async (): Promise<void> => {
    try {
      await notifier.check();
      await notifier.send([encodePresence(origin)]);
      sender.catchUp();
    } catch {
      // The notifier logs the failure, and reconnects.
    }
  };
  await announce();
  bus.connect({ send: (notices) => sender.add(notices) });
  const timer = setInterval(() => {
    void compare();
    sender.expireDirtyTopics();
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

/** Creates a comparison of the open tails with the log that skips calls while one is in flight. */
function createCompare(tails: Tails, log: Logger): () => Promise<void> {
  let comparing = false;
  return async () => {
    if (comparing) return;
    comparing = true;
    try {
      await tails.compare();
    } catch (error) {
      log.warn({ err: error }, 'comparing open topics with the log failed, retrying');
    }
    comparing = false;
  };
}
