import { pino } from 'pino';
import type { DestinationStream, Logger as PinoLogger } from 'pino';
import { traceFields } from './tracing.ts';

/** A structured logger. Never log tokens, passwords or message texts. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error' | 'isLevelEnabled'> & {
  child(bindings: object): Logger;
};

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug';

export function createLogger(
  level: LogLevel,
  destination: DestinationStream = pino.destination({ dest: 1, sync: true }),
): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, mixin: traceFields },
    destination,
  );
}
