import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { ByteRange } from '../media-storage.ts';
import { MAX_LINE_LENGTH, parseLine } from './protocol.ts';
import type { Found } from './protocol.ts';

/** A file to inspect. */
export interface InspectedFile {
  /** Its media type, as detected from its first bytes. */
  readonly contentType: string;
  readonly size: number;
  read(range: ByteRange): Promise<Readable>;
}

export interface InspectionLimits {
  /** Longest time of one inspection, with reading the file. */
  readonly ms: number;
  /** Most bytes that are read of one file, repeated ones included. */
  readonly bytes: number;
  /** Most reads of one file: each is a request to the bucket. */
  readonly reads: number;
  /** Most memory of the process. The largest images take 320 MB, apart from interlaced ones of 16 bits. */
  readonly memoryBytes: number;
}

export const INSPECTION_LIMITS: InspectionLimits = {
  ms: 30_000,
  bytes: 48 * 1024 ** 2,
  reads: 200,
  memoryBytes: 400 * 1024 ** 2,
};

/** Memory of JavaScript in the inspecting process, in MB. */
const MAX_HEAP_MB = 128;

/** Why an inspection ended early. What it had found until then is kept. */
export type InspectionFailure = 'time' | 'reads' | 'protocol' | 'process';

export interface Inspection {
  readonly found: Found;
  readonly failure?: InspectionFailure;
}

const PROGRAM = fileURLToPath(new URL(`./program${extname(import.meta.filename)}`, import.meta.url));

/**
 * Inspects a file in a process of its own, which a malformed file may crash, exhaust or take over: it has no secrets in its
 * environment and memory, ends with the file, and sees the bytes of no other. Throws what `read` throws, and the reason of
 * `signal`.
 */
export async function inspectFile(
  file: InspectedFile,
  signal: AbortSignal,
  limits = INSPECTION_LIMITS,
): Promise<Inspection> {
  signal.throwIfAborted();
  const child = spawn(
    process.execPath,
    [
      `--max-old-space-size=${MAX_HEAP_MB}`,
      PROGRAM,
      file.contentType,
      `${file.size}`,
      `${limits.memoryBytes}`,
    ],
    { env: {}, stdio: ['pipe', 'pipe', 'ignore'] },
  );
  const ended = endOf(child);
  const kill = (): void => void child.kill('SIGKILL');
  let failure: InspectionFailure | undefined;
  const timer = setTimeout(() => {
    failure = 'time';
    kill();
  }, limits.ms);
  signal.addEventListener('abort', kill);
  try {
    const conversation = await converse(file, child.stdin, child.stdout, limits);
    if (conversation.failure !== undefined) kill();
    const isOrderly = await ended;
    signal.throwIfAborted();
    failure ??= conversation.failure ?? (isOrderly ? undefined : 'process');
    return { found: conversation.found, ...(failure !== undefined && { failure }) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', kill);
    kill();
    await ended;
  }
}

/** Resolves when the process has ended, with whether it exited without an error. */
async function endOf(child: ChildProcess): Promise<boolean> {
  child.on('error', () => undefined);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return code === 0;
  } catch {
    // It could not be started.
    return false;
  }
}

/** Serves the requests of the process until it closes its output. */
async function converse(
  file: InspectedFile,
  input: Writable,
  output: Readable,
  limits: InspectionLimits,
): Promise<Inspection> {
  // The process may end at any time: what it does not read any more is not an error.
  input.on('error', () => undefined);
  let found: Found = {};
  let [reads, bytes] = [0, 0];
  for await (const text of linesOf(output)) {
    const line = parseLine(text);
    if (line === undefined) return { found, failure: 'protocol' };
    if ('found' in line) {
      found = { ...found, ...line.found };
      continue;
    }
    const [start, end] = line.read;
    if (start >= end || end > file.size) return { found, failure: 'protocol' };
    reads += 1;
    bytes += end - start;
    if (reads > limits.reads || bytes > limits.bytes) return { found, failure: 'reads' };
    await send(await file.read({ start, end: end - 1 }), input);
  }
  return { found };
}

/** Splits text into lines. One that is too long is cut, which makes it invalid. */
async function* linesOf(output: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const text of output.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
    if (rest.length > MAX_LINE_LENGTH) yield rest;
  }
}

/** Sends the bytes as fast as the process reads them. Throws what the content throws, unless the process has ended. */
async function send(content: Readable, input: Writable): Promise<void> {
  const stop = (): void => void content.destroy();
  input.once('close', stop);
  try {
    for await (const chunk of content as AsyncIterable<Uint8Array>)
      if (!input.write(chunk)) await drained(input);
  } catch (error) {
    if (!input.destroyed) throw error;
  } finally {
    input.off('close', stop);
    content.destroy();
  }
}

async function drained(input: Writable): Promise<void> {
  if (input.closed) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      input.off('drain', done).off('close', done);
      resolve();
    };
    input.on('drain', done).on('close', done);
  });
}
