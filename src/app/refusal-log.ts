import type { Logger } from '../log.ts';
import type { Metrics } from '../gateway/metrics.ts';
import { keyOfPayer } from '../actor.ts';
import type { Refusal } from '../services/operation-limits.ts';

const LOG_INTERVAL_MS = 60_000;
/** Refused payers and limits of one interval that get a line of their own. */
const MAX_LINES = 100;

/** Counts refusals, and logs each limit and payer at most once per minute. */
export function createRefusalLog(log: Logger, { refusals }: Pick<Metrics, 'refusals'>) {
  const logged = new Set<string>();
  let startedAt = -Infinity;
  return ({ limit, payer, retryAfterMs }: Refusal): void => {
    refusals.inc({ limit });
    const now = performance.now();
    if (now - startedAt >= LOG_INTERVAL_MS) {
      logged.clear();
      startedAt = now;
    }
    const key = `${limit} ${keyOfPayer(payer)}`;
    if (logged.has(key) || logged.size >= MAX_LINES) return;
    logged.add(key);
    const { account, address } = payer;
    log.warn({ limit, account, address, retryAfterMs }, 'operation refused: a limit was reached');
  };
}
