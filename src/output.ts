import { writeSync } from 'node:fs';
import { inspect } from 'node:util';
import { pino } from 'pino';
import type { DestinationStream } from 'pino';
import { ConfigError } from './config.ts';
import { createLogger } from './log.ts';
import type { Logger, LogLevel } from './log.ts';
import { StartError } from './lib/startup-error.ts';

/** A log on a full disk, or that no one reads any more, must not grow in memory. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
const RETRY_MS = 100;

/** What the program writes: a banner and readable lines at a terminal, otherwise JSON lines and nothing else. */
export interface Output {
  readonly log: Logger;
  /** Writes the first line: `listening` with the fields, whatever the log level, or the banner. */
  listening(fields: object, banner: string): void;
  /** Writes what was held to standard error: the program ends before it listens. Otherwise does nothing. */
  abandon(): void;
}

/** Opens standard output. Where it is no terminal, lines are held until `listening`, which comes first. */
export async function openOutput(level: LogLevel): Promise<Output> {
  if (process.stdout.isTTY) {
    const log = createLogger(level, await openTerminal());
    return { log, listening: (_fields, banner) => void process.stdout.write(banner), abandon() {} };
  }
  const stdout = openDescriptor(1);
  const destination = holdLines();
  return {
    log: createLogger(level, destination),
    listening(fields) {
      createLogger('info', stdout).info(fields, 'listening');
      destination.release(stdout);
    },
    abandon: () => destination.release(openDescriptor(2)),
  };
}

/** Writes why the program cannot start, to standard error: text at a terminal, otherwise one JSON line. */
export function writeFailure(error: unknown): void {
  const isForeseen = error instanceof ConfigError || error instanceof StartError;
  if (process.stderr.isTTY) {
    process.stderr.write(`${isForeseen ? error.message : inspect(error)}\n`);
    return;
  }
  const log = createLogger('error', openDescriptor(2));
  if (error instanceof ConfigError) log.error({ problems: error.problems }, 'invalid configuration');
  else if (error instanceof StartError) log.error(error.message);
  else log.error({ err: error }, 'start failed');
}

/**
 * Opens standard output or standard error so that no reader of it can stop the program. Where nothing more can be written
 * (a pipe that is full or closed, a disk that is full) lines are buffered, and dropped beyond the bound. pino's own
 * destination (sonic-boom 4.2) blocks the process in that state, or repeats what it has half written.
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
      // Once it is full, the timer asks whether it still is: lines are cheap then.
      if (retry === undefined) flush();
    },
  };
}

async function openTerminal(): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty');
  // A terminal that is gone (EIO) must not end the program.
  const destination = pino.destination({ dest: 1, sync: true }).on('error', () => undefined);
  return pretty({ destination, colorize: true, translateTime: 'SYS:HH:MM:ss' });
}

interface HeldLines extends DestinationStream {
  /** Passes on what is held, and what comes later. A second call does nothing. */
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
