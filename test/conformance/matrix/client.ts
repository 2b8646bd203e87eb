import { createReceiveQueue } from '../../../src/testing/receive-queue.ts';
import { LEGACY_CHANNELS } from '../../../src/testing/legacy-client.ts';

// One client of whatever kind, as the checks of the matrix see it.

/** An event: its channel and what it carries. */
export type Emission = readonly [channel: string, ...args: unknown[]];

export type Transport = 'polling' | 'websocket' | 'upgrade';

/** The actions and received frames of a client. Clients without a catch-all listener are given the channels. */
export interface ClientOptions {
  readonly url: string;
  readonly transport: Transport;
  readonly channels: readonly string[];
  readonly reconnection: boolean;
  /** Sent in one tick whenever it connects, as apps do. */
  readonly greeting: readonly Emission[];
}

/** What happens to a client, in the order in which it happens. Binary data is as `binary.ts` writes it. */
export type Report =
  | { readonly type: 'connect'; readonly transport: string }
  | { readonly type: 'upgrade' }
  | { readonly type: 'heartbeat' }
  | { readonly type: 'frame'; readonly frame: Emission }
  | { readonly type: 'acknowledgement'; readonly id: number; readonly args: readonly unknown[] }
  | { readonly type: 'disconnect'; readonly reason: string };

/** A remote-controlled client. */
export interface Port {
  /** Sends an event; with an id, it asks for an acknowledgement. */
  emit(emission: Emission, id?: number): void;
  close(): void;
}

/** A kind of client: how to open one. */
export interface ClientKind {
  readonly name: string;
  /** What it calls the end that the server made, and that of a network that broke. */
  readonly reasons: { readonly server: string; readonly network: RegExp };
  /** Whether it encodes text twice where the server cannot tell: over a WebSocket. */
  readonly encodesTwice?: boolean;
  /** Sends zeros for binary data. */
  readonly losesBinary?: boolean;
  /** Whether it may drop events emitted just before it is closed. */
  readonly dropsOnClose?: boolean;
  open(options: ClientOptions, report: (report: Report) => void): Port;
}

export interface MatrixClient extends Disposable {
  /** How often it has connected. */
  readonly connects: number;
  readonly transport: string;
  emit(...emission: Emission): void;
  /** Sends an event and returns the frames received up to its acknowledgement, which has no arguments. */
  ask(...emission: Emission): Promise<readonly Emission[]>;
  /** Sends an event and returns its acknowledgement, ignoring frames received before it. */
  acknowledged(...emission: Emission): Promise<readonly unknown[]>;
  /** Takes the next frame. */
  next(): Promise<Emission>;
  /** Takes the next frame of a channel and answers what it carries. */
  nextOn(channel: string): Promise<unknown>;
  /** Resolves once it has connected so often. */
  connected(times: number): Promise<void>;
  upgraded(): Promise<void>;
  /** Answers the reason of the next end. */
  disconnected(): Promise<string>;
  /** Resolves with the next heartbeat that the server sends or answers. */
  heartbeat(): Promise<void>;
  close(): void;
}

const PATIENCE_MS = 15_000;

/** Opens a client, which may not be connected yet. */
export function openClient(kind: ClientKind, options: Omit<ClientOptions, 'channels'>): MatrixClient {
  const heard = createReceiveQueue<Extract<Report, { type: 'frame' | 'acknowledgement' }>>('frames');
  const states = createReceiveQueue<Extract<Report, { type: 'connect' | 'upgrade' | 'heartbeat' }>>('states');
  const ends = createReceiveQueue<string>('end of the connection');
  const count = { connect: 0, upgrade: 0, heartbeat: 0, transport: '' };
  let asked = 0;

  const port = kind.open({ ...options, channels: LEGACY_CHANNELS }, (report) => {
    if (report.type === 'disconnect') ends.push(report.reason);
    else if (report.type === 'acknowledgement') heard.push(report);
    else if (report.type === 'frame') {
      if (!isPresence(report.frame)) heard.push(report);
    } else {
      count[report.type] += 1;
      if (report.type === 'connect') count.transport = report.transport;
      if (report.type === 'upgrade') count.transport = 'websocket';
      states.push(report);
    }
  });

  const take = (fits: (frame: Emission) => boolean) =>
    heard.next((report) => report.type === 'frame' && fits(report.frame), PATIENCE_MS);
  const frameOf = (report: { readonly type: string }): Emission =>
    (report as Extract<Report, { type: 'frame' }>).frame;
  const until = async (type: 'connect' | 'upgrade' | 'heartbeat', done: () => boolean): Promise<void> => {
    while (!done()) await states.next((report) => report.type === type, PATIENCE_MS);
  };

  return {
    get connects() {
      return count.connect;
    },
    get transport() {
      return count.transport;
    },
    emit: (...emission) => port.emit(emission),
    async ask(...emission) {
      const id = (asked += 1);
      port.emit(emission, id);
      const frames: Emission[] = [];
      for (;;) {
        const report = await heard.next(undefined, PATIENCE_MS);
        if (report.type === 'frame') frames.push(report.frame);
        else if (report.id === id && report.args.length === 0) return frames;
        else throw new Error(`an odd acknowledgement: ${JSON.stringify(report)}`);
      }
    },
    async acknowledged(...emission) {
      const id = (asked += 1);
      port.emit(emission, id);
      const report = await heard.next(
        (candidate) => candidate.type === 'acknowledgement' && candidate.id === id,
        PATIENCE_MS,
      );
      return report.type === 'acknowledgement' ? report.args : [];
    },
    next: async () => frameOf(await take(() => true)),
    async nextOn(channel) {
      const [, ...args] = frameOf(await take((frame) => frame[0] === channel));
      if (args.length !== 1) throw new Error(`${channel} carried ${JSON.stringify(args)}`);
      return args[0];
    },
    connected: (times) => until('connect', () => count.connect >= times),
    upgraded: () => until('upgrade', () => count.transport === 'websocket'),
    disconnected: () => ends.next(undefined, PATIENCE_MS),
    async heartbeat() {
      const { heartbeat } = count;
      await until('heartbeat', () => count.heartbeat > heartbeat);
    },
    close: () => port.close(),
    [Symbol.dispose]: () => port.close(),
  };
}

/** Whether a frame is a presence frame, whose time is not determined. */
function isPresence([channel, payload]: Emission): boolean {
  if (channel !== 'circle' || typeof payload !== 'object' || payload === null) return false;
  const { event } = payload as { event?: unknown };
  return event === 'connect' || event === 'disconnect';
}
