import { writeSync } from 'node:fs';
import { inspect } from 'node:util';
import { pino } from 'pino';
import type { DestinationStream } from 'pino';
import { ConfigError } from './config.ts';
import { createLogger } from './log.ts';
import type { Logger, LogLevel } from './log.ts';
import { StartError } from './lib/startup-error.ts';

/** Bound of buffered log lines while standard output is full or not read; further lines are dropped. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
const RETRY_MS = 100;

/** The program's output: a banner and readable lines on a terminal, otherwise only JSON lines. */
export interface Output {
  readonly log: Logger;
  /** Writes the banner, or the line `listening` with the fields, at any log level. */
  listening(fields: object, banner: string): void;
  /** Writes lines held back so far to standard error, before the program exits. Does nothing after `listening`. */
  abandon(): void;
}

/** Opens standard output, whose log lines have the fields. Unless it is a terminal, holds back lines until `listening`, which is the first line. */
export async function openOutput(level: LogLevel, fields: object): Promise<Output> {
  if (process.stdout.isTTY) {
    const log = createLogger(level, await openTerminal(), fields);
    return { log, listening: (_fields, banner) => void process.stdout.write(banner), abandon() {} };
  }
  const stdout = openDescriptor(1);
  const destination = holdLines();
  return {
    log: createLogger(level, destination, fields),
    listening(fields) {
      createLogger('info', stdout).info(fields, 'listening');
      destination.release(stdout);
    },
    abandon: () => destination.release(openDescriptor(2)),
  };
}

/** Writes a startup failure to standard error: text on a terminal, otherwise one JSON line. */
export function writeFailure(error: unknown): void {
  const isExpected = error instanceof ConfigError || error instanceof StartError;
  if (process.stderr.isTTY) {
    process.stderr.write(`${isExpected ? error.message : inspect(error)}\n`);
    return;
  }
  const log = createLogger('error', openDescriptor(2));
  if (error instanceof ConfigError) log.error({ problems: error.problems }, 'invalid configuration');
  else if (error instanceof StartError) log.error(error.message);
  else log.error({ err: error }, 'start failed');
}

/**
 * Opens standard output or standard error without ever blocking the program. While writing fails (full or closed pipe,
 * full disk), lines are buffered, and dropped beyond the bound. Replaces pino's destination: sonic-boom 4.2 blocks the
 * process in that state, or writes partial lines twice.
 */
function openDescriptor(descriptor: 1 | 2): DestinationStream {
  const lines: Buffer[] = [];
  let bytes = 0;
  let retry: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(retry);
    retry = undefined;
    try {
      for (let [line] = lines; line !== undefined; [line] = lines) {
        const written = writeSync(descriptor, line);
        bytes -= written;
        if (written < line.length) lines[0] = line.subarray(written);
        else lines.shift();
      }
    } catch {
      retry = setTimeout(flush, RETRY_MS).unref();
    }
  };
  return {
    write(line) {
      const encoded = Buffer.from(line);
      if (bytes + encoded.length <= MAX_BUFFERED_BYTES) {
        lines.push(encoded);
        bytes += encoded.length;
      }
      // While writing fails, only the timer retries: a failing write per line would be expensive.
      if (retry === undefined) flush();
    },
  };
}

async function openTerminal(): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty');
  // A closed terminal (EIO) must not end the program.
  const destination = pino.destination({ dest: 1, sync: true }).on('error', () => undefined);
  return pretty({ destination, colorize: true, translateTime: 'SYS:HH:MM:ss', ignore: 'node,nodeName' });
}

interface HeldLines extends DestinationStream {
  /** Forwards the held lines and all later ones. Idempotent. */
  release(destination: DestinationStream): void;
}

function holdLines(): HeldLines {
  let released: DestinationStream | undefined;
  let held: string[] = [];
  let heldLength = 0;
  return {
    write(line) {
      if (released !== undefined) return released.write(line);
      heldLength += line.length;
      if (heldLength <= MAX_BUFFERED_BYTES) held.push(line);
    },
    release(destination) {
      if (released !== undefined) return;
      released = destination;
      for (const line of held) destination.write(line);
      held = [];
    },
  };
}
