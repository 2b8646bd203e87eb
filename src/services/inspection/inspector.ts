import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
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
  /** Longest time of one inspection, without that in which a bucket sends the bytes at `MIN_BYTES_PER_MS`. */
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

/** Slowest storage whose files are inspected: 1 MB/s. */
const MIN_BYTES_PER_MS = 1_000;
/** Memory of JavaScript in the inspecting process, in MB. */
const MAX_HEAP_MB = 128;
/** Most reports of one file: dimensions, and a preview or a duration. */
const MAX_REPORTS = 4;

/** Why an inspection ended early. What it had found until then is kept. */
export type InspectionFailure = 'time' | 'reads' | 'protocol' | 'process';

export interface Inspection {
  readonly found: Found;
  readonly failure?: InspectionFailure;
}

/** A package of the parser is not installed, or not for this platform. */
export class MissingParserError extends Error {
  override readonly name = 'MissingParserError';
}

/** State of the process, which distinguishes its failures from those of the server. */
interface Progress {
  /** Whether it has asked for bytes of the file. */
  hasRead: boolean;
  isWaitingForStorage: boolean;
  /** Bytes that it has asked for. */
  bytes: number;
}

const PROGRAM = fileURLToPath(new URL(`./program${extname(import.meta.filename)}`, import.meta.url));

/**
 * Inspects a file in a process of its own, which a malformed file may crash or exhaust: it has no secrets in its environment and
 * memory, and ends with the file. Throws what `read` throws, the reason of `signal`, MissingParserError, and if the process does
 * not start or the storage does not respond in time.
 */
export async function inspectFile(
  file: InspectedFile,
  signal: AbortSignal,
  limits = INSPECTION_LIMITS,
  program = PROGRAM,
): Promise<Inspection> {
  signal.throwIfAborted();
  const child = await startProcess(file, limits, program);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const kill = (): void => void child.kill('SIGKILL');
  const interrupted = Promise.withResolvers<never>();
  interrupted.promise.catch(() => undefined);
  const progress: Progress = { hasRead: false, isWaitingForStorage: false, bytes: 0 };
  let isLate = false;
  const startedAt = performance.now();
  const endIfLate = (): void => {
    const leftMs = startedAt + limits.ms + progress.bytes / MIN_BYTES_PER_MS - performance.now();
    if (leftMs > 0) return void (timer = setTimeout(endIfLate, leftMs));
    isLate = true;
    if (progress.isWaitingForStorage) interrupted.reject(new Error('The storage did not respond in time'));
    kill();
  };
  let timer = setTimeout(endIfLate, limits.ms);
  const stop = (): void => interrupted.reject(signal.reason);
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    const conversation = converse(file, child.stdin, child.stdout, limits, progress);
    const { found, failure } = await Promise.race([conversation, interrupted.promise]);
    if (failure !== undefined) kill();
    const code = await Promise.race([ended, interrupted.promise]);
    if (code === 0 || failure !== undefined) return { found, ...(failure !== undefined && { failure }) };
    if (!progress.hasRead) throw new Error('The inspecting process did not start');
    return { found, failure: isLate ? 'time' : 'process' };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    kill();
    await ended;
  }
}

async function startProcess(
  { contentType, size }: InspectedFile,
  { memoryBytes }: InspectionLimits,
  program: string,
): Promise<ChildProcessByStdio<Writable, Readable, null>> {
  const flags = [`--max-old-space-size=${MAX_HEAP_MB}`];
  const child = spawn(process.execPath, [...flags, program, contentType, `${size}`, `${memoryBytes}`], {
    env: {},
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  await once(child, 'spawn');
  // Of a signal that could not be sent: it has ended.
  child.on('error', () => undefined);
  return child;
}

/** Serves the requests of the process until it closes its output. */
async function converse(
  file: InspectedFile,
  input: Writable,
  output: Readable,
  limits: InspectionLimits,
  progress: Progress,
): Promise<Inspection> {
  // The process may end at any time: what it does not read any more is not an error.
  input.on('error', () => undefined);
  let found: Found = {};
  let [reads, reports] = [0, 0];
  for await (const text of linesOf(output)) {
    const line = parseLine(text);
    if (line === undefined) return { found, failure: 'protocol' };
    if ('missing' in line) {
      if (progress.hasRead) return { found, failure: 'protocol' };
      throw new MissingParserError(line.missing);
    }
    if ('found' in line) {
      reports += 1;
      if (reports > MAX_REPORTS) return { found, failure: 'protocol' };
      found = { ...found, ...line.found };
      continue;
    }
    progress.hasRead = true;
    const [start, end] = line.read;
    if (start >= end || end > file.size) return { found, failure: 'protocol' };
    reads += 1;
    progress.bytes += end - start;
    if (reads > limits.reads || progress.bytes > limits.bytes) return { found, failure: 'reads' };
    await send(file, { start, end: end - 1 }, input, progress);
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

/** Sends a part of the file as fast as the process reads it. Throws what the storage throws, unless the process has ended. */
async function send(
  file: InspectedFile,
  range: ByteRange,
  input: Writable,
  progress: Progress,
): Promise<void> {
  let content: Readable | undefined;
  const stop = (): void => void content?.destroy();
  input.once('close', stop);
  progress.isWaitingForStorage = true;
  try {
    content = await file.read(range);
    if (input.closed) return;
    for await (const chunk of content as AsyncIterable<Uint8Array>) {
      progress.isWaitingForStorage = false;
      if (!input.write(chunk)) await drained(input);
      progress.isWaitingForStorage = true;
    }
  } catch (error) {
    if (!input.destroyed) throw error;
  } finally {
    progress.isWaitingForStorage = false;
    input.off('close', stop);
    content?.destroy();
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
