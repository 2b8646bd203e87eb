import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

const ARGS = ['stat', '-x', ',', '-e', 'instructions:u'];
/** Until `perf` has attached to the threads of a process. */
const ATTACH_MS = 300;

/** Reads the count of user instructions; undefined where the processor does not count them, as in many virtual machines. */
function parseCount(output: string): number | undefined {
  const count = Number(/^(\d+),,instructions:u/m.exec(output)?.[1]);
  return Number.isNaN(count) ? undefined : count;
}

/** Whether `perf` is installed, may be used, and has a counter of instructions. */
export const COUNTS_INSTRUCTIONS =
  parseCount(spawnSync('perf', [...ARGS, 'true'], { encoding: 'utf8' }).stderr ?? '') !== undefined;

/** Returns the user instructions of a process during the work; NaN where they are not counted. */
export async function instructionsDuring(pid: number, work: () => Promise<unknown>): Promise<number> {
  if (!COUNTS_INSTRUCTIONS) {
    await work();
    return NaN;
  }
  const perf = spawn('perf', [...ARGS, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  perf.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const closed = once(perf, 'close');
  await pause(ATTACH_MS);
  await work();
  perf.kill('SIGINT');
  await closed;
  return parseCount(output) ?? NaN;
}
