// Runs the load clients of a bench in a separate process: many sockets with the same script, which count received frames.
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';

export interface ClientScript {
  readonly type: 'open';
  readonly url: string;
  readonly protocol?: string;
  readonly count: number;
  /**
   * Sent one by one, each after a reply to the previous one, the first immediately. An empty message only waits for a reply.
   * `<id>` is replaced by a text that is unique to the socket.
   */
  readonly messages: readonly string[];
  /** Replacements of other names in angle brackets, per socket. */
  readonly substitutions?: readonly Readonly<Record<string, string>>[];
  /** Part of the frame that means that a socket is ready. */
  readonly readyText: string;
  /** Prefix of the frames that are counted. */
  readonly countedPrefix: string;
  /** Sockets that connect concurrently. */
  readonly concurrency?: number;
}

export interface Outcome {
  /** Milliseconds until a socket was ready, or a message was received. */
  readonly delays: readonly number[];
  /** Errors of the clients that failed. */
  readonly failures: readonly string[];
}

export type Command =
  /** Completes when all sockets are ready. */
  | ClientScript
  /** Completes once every socket has received so many frames since the last call. */
  | { readonly type: 'collect'; readonly frames: number }
  | LoadCommand
  | { readonly type: 'close' };

/**
 * Sends a message from the sockets in turn at a fixed rate, without waiting for replies (open loop). Completes once every frame was
 * received, with the delay of each from the scheduled time of its message.
 */
export interface LoadCommand {
  readonly type: 'load';
  /** Contains `~<stamp>~`, which is replaced by the scheduled time. */
  readonly message: string;
  readonly perSecond: number;
  readonly messages: number;
  /** Receivers per message. */
  readonly receivers: number;
}

const DEFAULT_CONCURRENCY = 50;
const TIMEOUT_MS = 20_000;
/** Packets of Engine.IO. */
const [PING, PONG] = ['2', '3'];

const STAMP = /~([\d.]+)~/;

type Substitutions = Readonly<Record<string, string>>;

const receivedOf = new Map<WebSocket, number>();
const substitutionsOf = new Map<WebSocket, Substitutions>();
let delays: number[] = [];
/** Frames of all sockets since the last collection. */
let received = 0;
/** Called with each frame while a collection waits. */
let onReceived: (() => void) | undefined;

const fill = (line: string, replacements: Substitutions): string =>
  line.replaceAll(/<(\w+)>/g, (name, key: string) => replacements[key] ?? name);

/** Connects a socket and resolves when it is ready. */
function connect(script: ClientScript, substitutions: Substitutions): Promise<void> {
  const { url, protocol, messages, readyText } = script;
  const socket = new WebSocket(url, protocol);
  const replacements = { ...substitutions, id: crypto.randomUUID() };
  const lines = messages.map((line) => fill(line, replacements));
  const countedPrefix = fill(script.countedPrefix, replacements);
  receivedOf.set(socket, 0);
  substitutionsOf.set(socket, replacements);
  const onFrame = (data: Buffer): void => {
    const text = data.toString();
    if (text.startsWith(countedPrefix)) {
      receivedOf.set(socket, (receivedOf.get(socket) ?? 0) + 1);
      received += 1;
      onReceived?.();
      const stamp = STAMP.exec(text)?.[1];
      if (stamp !== undefined) delays.push(performance.now() - Number(stamp));
    } else if (text === PING) socket.send(PONG);
  };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const sendNext = (): void => {
    const line = lines.shift() ?? '';
    if (line !== '') socket.send(line);
  };
  const onStart = (data: Buffer): void => {
    if (!data.toString().includes(readyText)) return sendNext();
    socket.off('message', onStart).on('message', onFrame);
    clearTimeout(timer);
    resolve();
  };
  const timer = setTimeout(() => reject(new Error('timeout')), TIMEOUT_MS);
  socket.on('error', reject).once('close', (code) => reject(new Error(`closed with ${code}`)));
  socket.once('open', sendNext).on('message', onStart);
  return promise;
}

async function connectAll(script: ClientScript): Promise<Outcome> {
  const { count, substitutions = [{}], concurrency = DEFAULT_CONCURRENCY } = script;
  const delays: number[] = [];
  const failures: string[] = [];
  for (let first = 0; first < count; first += concurrency) {
    const startedAt = performance.now();
    const connectOne = async (index: number): Promise<void> => {
      try {
        await connect(script, substitutions[index % substitutions.length] ?? {});
        delays.push(performance.now() - startedAt);
      } catch (error) {
        failures.push(String(error));
      }
    };
    const next = Math.min(concurrency, count - first);
    await Promise.all(Array.from({ length: next }, (_, index) => connectOne(first + index)));
  }
  return { delays, failures };
}

async function runOpenLoop({ message, perSecond, messages, receivers }: LoadCommand): Promise<Outcome> {
  const senders = [...substitutionsOf];
  delays = [];
  const startedAt = performance.now();
  for (let index = 0; index < messages; index += 1) {
    const due = startedAt + (index * 1_000) / perSecond;
    const waitMs = due - performance.now();
    // Timers truncate to milliseconds, and no message may be sent early.
    if (waitMs > 0) await pause(Math.ceil(waitMs));
    const [socket, replacements] = senders[index % senders.length] ?? [];
    socket?.send(fill(message, { ...replacements, stamp: `${due.toFixed(3)}`, number: `${index}` }));
  }
  for (
    let remainingMs = TIMEOUT_MS;
    remainingMs > 0 && delays.length < messages * receivers;
    remainingMs -= 20
  )
    await pause(20);
  const missing = messages * receivers - delays.length;
  return { delays, failures: missing === 0 ? [] : [`${missing} frames were not received`] };
}

/** Resolves once every socket has received so many frames. */
async function collect(frames: number): Promise<void> {
  const total = frames * receivedOf.size;
  const { promise, resolve } = Promise.withResolvers<void>();
  const resolveIfComplete = (): void => {
    if (received >= total && [...receivedOf.values()].every((count) => count >= frames)) resolve();
  };
  onReceived = resolveIfComplete;
  resolveIfComplete();
  await promise;
  onReceived = undefined;
  received -= total;
  for (const [socket, count] of receivedOf) receivedOf.set(socket, count - frames);
}

async function handle(command: Command): Promise<Outcome> {
  if (command.type === 'open') return connectAll(command);
  if (command.type === 'load') return runOpenLoop(command);
  if (command.type === 'collect') await collect(command.frames);
  else {
    for (const socket of receivedOf.keys()) socket.terminate();
    receivedOf.clear();
    received = 0;
    substitutionsOf.clear();
  }
  return { delays: [], failures: [] };
}

process.on('message', (command: Command) => void handle(command).then((outcome) => process.send?.(outcome)));
