import { LineLimit } from '../lib/line-limit.ts';
import type { StartTimer } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';

/** Lines with the same message in each minute, about 200 KB. */
const MAX_LINES_PER_MESSAGE = 600;

/** A logger whose lines are bounded. Disposal logs how many lines were dropped since the last report. */
export type BoundedLog = Logger & Disposable;

/**
 * Bounds the lines of a logger, as clients can cause some of them in any number: at most 600 a minute with the same message
 * at level info and above. The number of further ones is logged at the end of the minute. Debug lines are not bounded.
 */
export function boundLog(log: Logger, startTimer?: StartTimer): BoundedLog {
  const limit = new LineLimit<string>({
    maxLines: MAX_LINES_PER_MESSAGE,
    startTimer,
    onWindowEnd(dropped) {
      for (const [message, count] of dropped) log.warn({ message, dropped: count }, 'log lines dropped');
    },
  });
  return { ...boundLines(log, limit), [Symbol.dispose]: () => limit[Symbol.dispose]() };
}

type Write = (...line: [fields: unknown, message?: string]) => void;

function boundLines(log: Logger, limit: LineLimit<string>): Logger {
  const bound =
    (write: Write): Write =>
    (fields, message) => {
      if (limit.admit(kindOf(fields, message))) write(fields, message);
    };
  return {
    debug: log.debug.bind(log),
    info: bound(log.info.bind(log)),
    warn: bound(log.warn.bind(log)),
    error: bound(log.error.bind(log)),
    isLevelEnabled: (level) => log.isLevelEnabled(level),
    child: (bindings) => boundLines(log.child(bindings), limit),
  };
}

/** Returns the message of a line. */
const kindOf = (fields: unknown, message = ''): string => (typeof fields === 'string' ? fields : message);
