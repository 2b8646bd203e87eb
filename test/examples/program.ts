import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A program from `examples/` that is running, or has ended. */
export interface Program extends AsyncDisposable {
  /** What it printed so far. */
  readonly lines: readonly string[];
  /** Its warnings: a good example prints none. */
  readonly errors: () => string;
  readonly isRunning: () => boolean;
  /** Resolves with its exit code. */
  readonly ended: Promise<number | null>;
  /** Resolves once that is true of what it printed. Rejects when it ends before. */
  until(isTrue: (lines: readonly string[]) => boolean): Promise<void>;
}

/** How an example is run when it is no JavaScript. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  /** Handed to the example itself. */
  readonly parameters?: readonly string[];
}

/** Runs `examples/<file>` against the server at `url`. */
export function runExample(
  file: string,
  url: string,
  env: Readonly<Record<string, string>> = {},
  { command, args, parameters = [] }: Command = { command: process.execPath, args: [] },
): Program {
  const child = spawn(command, [...args, `examples/${file}`, ...parameters], {
    env: { PATH: process.env.PATH ?? '', PARLEY_URL: url, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of waiting) look();
  };
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    wake();
  });
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  // `close` comes after the last line.
  const ended = once(child, 'close').then(() => {
    wake();
    return child.exitCode;
  });
  return {
    lines,
    errors: () => errors,
    isRunning,
    ended,
    until: (isTrue) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (isTrue(lines)) resolve();
          else if (isRunning()) return;
          else reject(new Error(`examples/${file} ended with ${String(child.exitCode)}: ${errors}`));
          waiting.delete(look);
        };
        waiting.add(look);
        look();
      }),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
