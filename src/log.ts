import { pino } from 'pino';
import type { DestinationStream, Logger as PinoLogger } from 'pino';
import type { Config } from './config.ts';
import { traceFields } from './tracing.ts';

/** A structured logger. Never log tokens, passwords or message texts. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error' | 'isLevelEnabled'> & {
  child(bindings: object): Logger;
};

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug';

/** Creates a logger whose lines have the fields. */
export function createLogger(
  level: LogLevel,
  destination: DestinationStream = pino.destination({ dest: 1, sync: true }),
  fields: object | null = null,
): Logger {
  return pino(
    { level, base: fields, timestamp: pino.stdTimeFunctions.isoTime, mixin: traceFields },
    destination,
  );
}

/** Returns the fields by which the lines of a node are found. */
export const nodeFields = (nodeId: string, { NODE_NAME: nodeName }: Pick<Config, 'NODE_NAME'>): object => ({
  node: nodeId,
  ...(nodeName !== undefined && { nodeName }),
});
