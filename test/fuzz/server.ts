import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { PROGRAM_ENV, startProgram, waitUntilListening } from '../harness/program.ts';

/** Bound of the heap: a server that retains what it receives exits. */
const MAX_HEAP_MB = 256;
/** Bound of the memory that a run adds, beyond what the heap of a server under load takes before it is collected. */
const MAX_GROWTH_MB = 350;

/** Without `--liftoff-only`, which slows down servers that run for longer than a few seconds. */
const ARGUMENTS = [`--max-old-space-size=${MAX_HEAP_MB}`, 'src/main.ts'];

/** A server in a process of its own, whose log must have no error. */
export interface FuzzServer extends AsyncDisposable {
  readonly url: string;
  /** Expects that the process serves, has logged no error, and has not grown beyond its bound. */
  expectHealthy(): Promise<void>;
}

/** The argument of Node.js with which a server works as under load. */
export const BUSY_TURNS = '--import=./test/fuzz/busy-turns.ts';

export async function startFuzzServer(
  env: Readonly<Record<string, string>> = {},
  nodeArguments: readonly string[] = [],
): Promise<FuzzServer> {
  const program = startProgram([process.execPath, ...nodeArguments, ...ARGUMENTS], {
    ...PROGRAM_ENV,
    HOST: '127.0.0.1',
    PORT: '0',
    DATA_DIR: 'memory',
    DEMO: 'off',
    RATE_LIMITS: 'off',
    LOG_LEVEL: 'error',
    ...env,
  });
  const url = await waitUntilListening(program.child);
  const readMegabytes = async (): Promise<number> => {
    const status = await readFile(`/proc/${program.child.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  };
  const atRest = await readMegabytes();
  return {
    url,
    async expectHealthy() {
      const { stdout, stderr } = program.printed;
      const errors = stdout.split('\n').filter((line) => /"level":(50|60)\b/.test(line));
      expect({ errors, stderr }).toEqual({ errors: [], stderr: '' });
      expect(program.child.exitCode).toBe(null);
      expect((await fetch(`${url}/healthz`)).status).toBe(200);
      expect(await readMegabytes()).toBeLessThan(atRest + MAX_GROWTH_MB);
    },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}
