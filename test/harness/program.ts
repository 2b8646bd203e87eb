import { spawn } from 'node:child_process';
import type { ChildProcess, ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, dirname, join } from 'node:path';

export const ROOT = dirname(dirname(import.meta.dirname));

/** Cache between runs, with which tests start programs faster. */
export const CACHE = join(ROOT, 'node_modules', '.cache', 'parley-tests');

export type Command = readonly [string, ...string[]];

/** PATH of a shell, without the folders that npm adds. */
export const SHELL_PATH = (process.env['PATH'] ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))
  .join(delimiter);

/** Environment of a program under test: a shell's PATH, and a cache of compiled modules, which saves a second per start. */
export const PROGRAM_ENV = {
  PATH: SHELL_PATH,
  NODE_COMPILE_CACHE: join(CACHE, 'compiled'),
} as const;

/**
 * Starts the server without the optimizing compiler for WebAssembly: it takes a third of the CPU time of a start, to compile
 * the embedded database, and pays off only later than most tests end.
 */
export const SERVER_COMMAND = [process.execPath, '--liftoff-only', 'src/main.ts'] as const;

export interface Program extends AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  readonly exited: Promise<[code: number | null, signal: string | null]>;
  /** The output so far. */
  readonly printed: { readonly stdout: string; readonly stderr: string };
  /** Sends a signal to each process of the group, as a terminal does. */
  signalGroup(signal: NodeJS.Signals): void;
}

/** Starts a command in a process group of its own, as a shell does. It inherits no environment. */
export function startProgram([command, ...args]: Command, env: Record<string, string>, cwd = ROOT): Program {
  const child = spawn(command, args, { cwd, env, detached: true });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (chunk: Buffer) => (output[name] += chunk.toString()));
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>;
  const signalGroup = (signal: NodeJS.Signals): void => void process.kill(-(child.pid ?? 0), signal);
  return {
    child,
    exited,
    printed: output,
    signalGroup,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) signalGroup('SIGKILL');
      await exited;
    },
  };
}

const MAX_PRINTED = 100_000;

/** Resolves with the first match in the program's output, and continues to drain it. Rejects if the program exits first. */
export function waitForOutput(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  let output = '';
  let errorOutput = '';
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      if (output.length < MAX_PRINTED) output += chunk.toString();
      const match = pattern.exec(output);
      if (match !== null) resolve(match);
    });
    child.stderr?.on(
      'data',
      (chunk: Buffer) => (errorOutput = `${errorOutput}${chunk.toString()}`.slice(-1000)),
    );
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`The program exited with ${String(code)}: ${output.slice(-1000)}${errorOutput}`)),
    );
  });
}

/** Resolves with the URL of a starting gateway once it logs `listening`. */
export async function waitUntilListening(child: ChildProcess): Promise<string> {
  return (await waitForOutput(child, /^\{.*"url":"([^"]+)".*"msg":"listening"\}$/m))[1] ?? '';
}
