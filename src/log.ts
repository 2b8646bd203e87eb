import { pino } from 'pino';
import type { Logger as PinoLogger } from 'pino';

/** JSON lines on standard output. Tokens, passwords and message texts never go in. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error'> & {
  child(bindings: object): Logger;
};

export function createLogger(level: 'silent' | 'error' | 'warn' | 'info' | 'debug'): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime });
}
