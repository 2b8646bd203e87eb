import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { requireExamples } from './generate.ts';

const UNTIL_TIMEOUT_MS = 60_000;

/** A running or ended program of an example. */
export interface Program extends AsyncDisposable {
  /** The lines printed so far. */
  readonly lines: readonly string[];
  /** Returns the warnings printed to stderr. */
  readonly errors: () => string;
  readonly isRunning: () => boolean;
  /** Writes a line to stdin. */
  readonly write: (line: string) => void;
  /** Ends stdin. */
  readonly end: () => void;
  /** Resolves with the exit code. */
  readonly exitCode: Promise<number | null>;
  /** Resolves once the condition holds for the output. Rejects after the timeout, or if the program exits first. */
  waitUntil(condition: (lines: readonly string[]) => boolean, timeoutMs?: number): Promise<void>;
}

/** The command that runs an example. Default: Node. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  /** Arguments of the example. */
  readonly parameters?: readonly string[];
}

/** Runs `examples/<file>` against the server at `url`. */
export function runExample(
  file: string,
  url: string,
  env: Readonly<Record<string, string>> = {},
  { command, args, parameters = [] }: Command = { command: process.execPath, args: [] },
): Program {
  requireExamples();
  return runProgram(command, [...args, `examples/${file}`, ...parameters], {
    cwd: '.',
    env: { PARLEY_URL: url, ...env },
  });
}

export interface ProgramOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Runs a program that an example consists of. */
export function runProgram(command: string, args: readonly string[], { cwd, env }: ProgramOptions): Program {
  const child = spawn(command, args, { cwd, env: { PATH: process.env.PATH ?? '', ...env } });
  const lines: string[] = [];
  const checks = new Set<() => void>();
  const runChecks = (): void => {
    for (const check of checks) check();
  };
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    runChecks();
  });
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  // `close` is emitted after the last line, unlike `exit`.
  const exitCode = once(child, 'close').then(() => {
    runChecks();
    return child.exitCode;
  });
  return {
    lines,
    errors: () => errors,
    isRunning,
    exitCode,
    write: (line) => void child.stdin.write(`${line}\n`),
    end: () => void child.stdin.end(),
    waitUntil: (condition, timeoutMs = UNTIL_TIMEOUT_MS) =>
      new Promise((resolve, reject) => {
        const fail = (reason: string): void =>
          reject(new Error(`${args.join(' ')} ${reason}: ${lines.slice(-5).join('\n')}${errors}`));
        const check = (): void => {
          if (condition(lines)) resolve();
          else if (isRunning()) return;
          else fail(`exited with ${String(child.exitCode)}`);
          checks.delete(check);
          clearTimeout(deadline);
        };
        const deadline = setTimeout(() => {
          checks.delete(check);
          fail(`did not meet the condition within ${timeoutMs} ms`);
        }, timeoutMs);
        checks.add(check);
        check();
      }),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exitCode;
    },
  };
}
