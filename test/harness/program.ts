import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, dirname } from 'node:path';

export const ROOT = dirname(dirname(import.meta.dirname));

export type Command = readonly [string, ...string[]];

/** PATH as a shell has it that npm has not changed. */
export const SHELL_PATH = (process.env['PATH'] ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))
  .join(delimiter);

export interface Program extends AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  readonly exited: Promise<[code: number | null, signal: string | null]>;
  /** All of it, so far. */
  readonly printed: { readonly stdout: string; readonly stderr: string };
  /** Sends it to every process of the group, as a terminal does. */
  signalGroup(signal: NodeJS.Signals): void;
}

/** Runs a command in a process group of its own, as a shell does, with an environment of nothing else. */
export function startProgram([command, ...args]: Command, env: Record<string, string>, cwd = ROOT): Program {
  const child = spawn(command, args, { cwd, env, detached: true });
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (chunk: Buffer) => (printed[name] += chunk.toString()));
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>;
  const signalGroup = (signal: NodeJS.Signals): void => void process.kill(-(child.pid ?? 0), signal);
  return {
    child,
    exited,
    printed,
    signalGroup,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) signalGroup('SIGKILL');
      await exited;
    },
  };
}
