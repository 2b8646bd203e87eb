import { inspect } from 'node:util';
import { pino } from 'pino';
import type { DestinationStream } from 'pino';
import { ConfigError } from './config.ts';
import { createLogger } from './log.ts';
import type { Logger, LogLevel } from './log.ts';
import { StartError } from './start-error.ts';

/** A log on a full disk, or that no one reads any more, must not grow in memory. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/** What the program writes: a banner and readable lines at a terminal, otherwise JSON lines and nothing else. */
export interface Output {
  readonly log: Logger;
  /** Writes the first line: `listening` with the fields, whatever the log level, or the banner. */
  listening(fields: object, banner: string): void;
}

/** Opens standard output. Where it is no terminal, lines are held until `listening`, which comes first. */
export async function openOutput(level: LogLevel): Promise<Output> {
  if (process.stdout.isTTY) {
    const log = createLogger(level, await openTerminal());
    return { log, listening: (_fields, banner) => void process.stdout.write(banner) };
  }
  const destination = holdLines(openDescriptor(1));
  return {
    log: createLogger(level, destination),
    listening(fields) {
      createLogger('info', destination.unheld).info(fields, 'listening');
      destination.release();
    },
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

/** pino ignores a pipe that is closed (EPIPE); a terminal that is gone (EIO) or a full disk must not end the program either. */
function openDescriptor(descriptor: 1 | 2): DestinationStream {
  return pino
    .destination({ dest: descriptor, sync: true, maxLength: MAX_BUFFERED_BYTES })
    .on('error', () => undefined);
}

async function openTerminal(): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty');
  return pretty({ destination: openDescriptor(1), colorize: true, translateTime: 'SYS:HH:MM:ss' });
}

interface HeldLines extends DestinationStream {
  readonly unheld: DestinationStream;
  release(): void;
}

function holdLines(unheld: DestinationStream): HeldLines {
  let held: string[] | undefined = [];
  let heldLength = 0;
  return {
    unheld,
    write(line) {
      if (held === undefined) return unheld.write(line);
      heldLength += line.length;
      if (heldLength <= MAX_BUFFERED_BYTES) held.push(line);
    },
    release() {
      for (const line of held ?? []) unheld.write(line);
      held = undefined;
    },
  };
}
