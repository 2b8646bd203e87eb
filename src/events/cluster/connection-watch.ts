import type { Notifier } from '../../db/notifier.ts';
import type { Logger } from '../../log.ts';

const CHECK_INTERVAL_MS = 1_000;
/** A server that has not responded to checks for this long is unavailable. */
const UNRESPONSIVE_AFTER_MS = 2_500;

export interface ConnectionWatch extends Disposable {
  /** Whether the connection is open, and the server has responded recently. */
  readonly isConnected: boolean;
}

/** Checks the connection of a notifier periodically, and logs when it is lost and restored. */
export function watchConnection(
  notifier: Pick<Notifier, 'listening' | 'check'>,
  log: Logger,
): ConnectionWatch {
  let checkedAt = performance.now();
  let isChecking = false;
  let wasConnected = true;
  const isConnected = (): boolean =>
    notifier.listening && performance.now() - checkedAt < UNRESPONSIVE_AFTER_MS;
  const check = async (): Promise<void> => {
    if (isChecking || !notifier.listening) return;
    isChecking = true;
    const startedAt = performance.now();
    try {
      await notifier.check();
      checkedAt = startedAt;
    } catch {
      // The notifier logs the failure, and reconnects.
    }
    isChecking = false;
  };
  const report = (): void => {
    if (isConnected() === wasConnected) return;
    wasConnected = !wasConnected;
    if (wasConnected) log.info('no longer degraded: other nodes reachable');
    else log.warn('degraded: other nodes unreachable');
  };
  const timer = setInterval(() => {
    report();
    void check();
  }, CHECK_INTERVAL_MS);
  timer.unref();
  return {
    get isConnected() {
      return isConnected();
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
