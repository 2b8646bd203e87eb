// Inspects one file: run by `inspectFile`, with the media type, the size and the limit of memory as arguments. What is found is
// written as soon as it is: the process may be ended for exceeding a limit.
import { writeFileSync, writeSync } from 'node:fs';
import { setPriority } from 'node:os';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { ByteReader } from './byte-reader.ts';
import { MAX_MESSAGE_LENGTH } from './inspect.ts';
import type { Inspect } from './inspect.ts';

const MEMORY_CHECK_MS = 20;
/** Low, not lowest: on a busy machine that would not end in time. */
const LOW_PRIORITY = 10;
/** In case the server was killed, which ends this process otherwise: longer than any inspection. */
const MAX_LIFE_MS = 120_000;
const STDOUT = 1;

const write = (line: object): void => void writeSync(STDOUT, `${JSON.stringify(line)}\n`);

async function main(): Promise<void> {
  const [contentType = '', size = '', memoryBytes = ''] = process.argv.slice(2);
  yieldToOthers();
  // A thread of its own: a parser may block this one.
  new Worker(new URL(import.meta.url), { workerData: Number(memoryBytes) }).unref();
  const inspect = await loadParser(contentType);
  const reader = new ByteReader(process.stdin, (start, end) => write({ read: [start, end] }));
  // Whatever is thrown, the file is not one that the parser can read.
  await inspect?.({ size: Number(size), reader }, (found) => write({ found })).catch(() => undefined);
  // A parser may have left work behind.
  process.exit();
}

/** Loads what the type needs alone: the other parser takes as long to load as most files to inspect. */
async function loadParser(contentType: string): Promise<Inspect | undefined> {
  try {
    if (contentType.startsWith('image/')) return (await import('./image.ts')).inspectImage;
    return (await import('./audio-video.ts')).inspectAudioOrVideo;
  } catch (error) {
    if (!isMissing(error)) throw error;
    write({ missing: String(error).slice(0, MAX_MESSAGE_LENGTH) });
    return undefined;
  }
}

/** Whether a package, or its binary for this platform, is not installed. Other failures, as for want of memory, may pass. */
const isMissing = (error: unknown): boolean =>
  error instanceof Error &&
  (('code' in error && error.code === 'ERR_MODULE_NOT_FOUND') ||
    error.message.startsWith('Could not load the "sharp" module'));

function limitResources(memoryBytes: number): void {
  setInterval(() => {
    if (process.memoryUsage.rss() > memoryBytes) process.kill(process.pid, 'SIGKILL');
  }, MEMORY_CHECK_MS);
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), MAX_LIFE_MS);
}

/** Leaves the processor to other processes. Should the system run out of memory, it ends this one before the server. */
function yieldToOthers(): void {
  try {
    setPriority(LOW_PRIORITY);
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // Only Linux has the file, and a sandbox may forbid both.
  }
}

if (isMainThread) await main();
else limitResources(workerData as number);
