// The clients of another bench, in a process of their own: many sockets that say the same and count what they hear.
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';

export interface Opening {
  readonly type: 'open';
  readonly url: string;
  readonly protocol?: string;
  readonly count: number;
  /** Each line is said when the one before it was answered, the first at once; an empty one is only waited for. `<id>` stands for a text that no other socket says. */
  readonly greeting: readonly string[];
  /** What further names in brackets stand for, socket by socket. */
  readonly texts?: readonly Readonly<Record<string, string>>[];
  /** Part of what is heard when a socket is ready. */
  readonly ready: string;
  /** How every frame begins that is counted. */
  readonly counted: string;
  /** How many are on their way to be ready at a time. */
  readonly atOnce?: number;
}

export interface Outcome {
  /** How long it took until a socket was ready, or a line was heard, in milliseconds. */
  readonly delays: readonly number[];
  /** Why others were not. */
  readonly failures: readonly string[];
}

export type Order =
  /** Answered when all are ready. */
  | Opening
  /** Answered once every socket has heard so many frames since the last time. */
  | { readonly type: 'collect'; readonly frames: number }
  | Talk
  | { readonly type: 'close' };

/**
 * Has the sockets say a line in turn, at an even pace, whether or not anybody keeps up. Answered once each frame was
 * heard, with how long each was on its way since the moment at which its line was due.
 */
export interface Talk {
  readonly type: 'talk';
  /** `<stamp>` in it, between two tildes, says when it was due. */
  readonly line: string;
  readonly perSecond: number;
  readonly lines: number;
  /** How many hear each line. */
  readonly hearers: number;
}

const OPEN_AT_ONCE = 50;
const PATIENCE_MS = 20_000;
/** Of Engine.IO. */
const [PING, PONG] = ['2', '3'];

const STAMP = /~([\d.]+)~/;

type Texts = Readonly<Record<string, string>>;

const heard = new Map<WebSocket, number>();
const textsOf = new Map<WebSocket, Texts>();
let delays: number[] = [];

const fill = (line: string, texts: Texts): string =>
  line.replaceAll(/<(\w+)>/g, (name, key: string) => texts[key] ?? name);

/** Resolves when the socket is ready. */
function open(opening: Opening, given: Texts): Promise<void> {
  const { url, protocol, greeting, ready } = opening;
  const socket = new WebSocket(url, protocol);
  const texts = { ...given, id: crypto.randomUUID() };
  const lines = greeting.map((line) => fill(line, texts));
  const counted = fill(opening.counted, texts);
  heard.set(socket, 0);
  textsOf.set(socket, texts);
  const count = (data: Buffer): void => {
    const text = data.toString();
    if (text.startsWith(counted)) {
      heard.set(socket, (heard.get(socket) ?? 0) + 1);
      const stamp = STAMP.exec(text)?.[1];
      if (stamp !== undefined) delays.push(performance.now() - Number(stamp));
    } else if (text === PING) socket.send(PONG);
  };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const sayNext = (): void => {
    const line = lines.shift() ?? '';
    if (line !== '') socket.send(line);
  };
  const begin = (data: Buffer): void => {
    if (!data.toString().includes(ready)) return sayNext();
    socket.off('message', begin).on('message', count);
    clearTimeout(patience);
    resolve();
  };
  const patience = setTimeout(() => reject(new Error('timeout')), PATIENCE_MS);
  socket.on('error', reject).once('close', (code) => reject(new Error(`closed with ${code}`)));
  socket.once('open', sayNext).on('message', begin);
  return promise;
}

async function openAll(opening: Opening): Promise<Outcome> {
  const { count, texts = [{}], atOnce = OPEN_AT_ONCE } = opening;
  const delays: number[] = [];
  const failures: string[] = [];
  for (let first = 0; first < count; first += atOnce) {
    const begun = performance.now();
    const one = async (index: number): Promise<void> => {
      try {
        await open(opening, texts[index % texts.length] ?? {});
        delays.push(performance.now() - begun);
      } catch (error) {
        failures.push(String(error));
      }
    };
    const next = Math.min(atOnce, count - first);
    await Promise.all(Array.from({ length: next }, (_, index) => one(first + index)));
  }
  return { delays, failures };
}

async function talk({ line, perSecond, lines, hearers }: Talk): Promise<Outcome> {
  const speakers = [...textsOf];
  delays = [];
  const begun = performance.now();
  for (let index = 0; index < lines; index += 1) {
    const due = begun + (index * 1_000) / perSecond;
    const early = due - performance.now();
    // A timer leaves off what is less than a millisecond, and nothing may be said before it is due.
    if (early > 0) await pause(Math.ceil(early));
    const [socket, texts] = speakers[index % speakers.length] ?? [];
    socket?.send(fill(line, { ...texts, stamp: `${due.toFixed(3)}`, number: `${index}` }));
  }
  for (let left = PATIENCE_MS; left > 0 && delays.length < lines * hearers; left -= 20) await pause(20);
  const lost = lines * hearers - delays.length;
  return { delays, failures: lost === 0 ? [] : [`${lost} lines were not heard`] };
}

async function obey(order: Order): Promise<Outcome> {
  if (order.type === 'open') return openAll(order);
  if (order.type === 'talk') return talk(order);
  if (order.type === 'collect') {
    while ([...heard.values()].some((frames) => frames < order.frames)) await pause(20);
    for (const [socket, frames] of heard) heard.set(socket, frames - order.frames);
  } else {
    for (const socket of heard.keys()) socket.terminate();
    heard.clear();
    textsOf.clear();
  }
  return { delays: [], failures: [] };
}

process.on('message', (order: Order) => void obey(order).then((outcome) => process.send?.(outcome)));
