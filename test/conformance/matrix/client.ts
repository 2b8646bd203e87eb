import { createReceiveQueue } from '../../../src/testing/receive-queue.ts';
import { LEGACY_CHANNELS } from '../../../src/testing/legacy-client.ts';

// A client of any kind, as the checks of the matrix use it.

/** An event: its channel and arguments. */
export type Frame = readonly [channel: string, ...args: unknown[]];

export type Transport = 'polling' | 'websocket' | 'upgrade';

export interface ClientOptions {
  readonly url: string;
  readonly transport: Transport;
  /** The channels to listen on, for clients without a catch-all listener. */
  readonly channels: readonly string[];
  readonly reconnection: boolean;
  /** Sent in one tick whenever it connects, as apps do. */
  readonly framesOnConnect: readonly Frame[];
}

/** An event of a client, in order of occurrence. Binary data is encoded by `encodeBinary`. */
export type ClientEvent =
  | { readonly type: 'connect'; readonly transport: string }
  | { readonly type: 'upgrade' }
  | { readonly type: 'heartbeat' }
  | { readonly type: 'frame'; readonly frame: Frame }
  | { readonly type: 'acknowledgement'; readonly id: number; readonly args: readonly unknown[] }
  | { readonly type: 'disconnect'; readonly reason: string };

export type ClientListener = (event: ClientEvent) => void;

/** Controls a client, which may run in another process. */
export interface ClientHandle {
  /** Sends an event; with an id, it requests an acknowledgement. */
  emit(frame: Frame, id?: number): void;
  close(): void;
}

/** A kind of client, and its known limitations. */
export interface ClientKind {
  readonly name: string;
  /** The reasons that its `disconnect` event has when the server disconnects it, and when the network fails. */
  readonly disconnectReasons: { readonly server: string; readonly network: RegExp };
  /** Whether it encodes text twice where the server cannot detect it: over a WebSocket. */
  readonly encodesTwice?: boolean;
  /** Whether it sends zeros for binary data. */
  readonly losesBinary?: boolean;
  /** The transports over which it may drop events emitted just before it is closed. Default: none. */
  readonly dropsOnClose?: readonly Transport[];
  open(options: ClientOptions, onEvent: ClientListener): ClientHandle;
}

export interface MatrixClient extends Disposable {
  /** The number of times it has connected. */
  readonly connectCount: number;
  readonly transport: string;
  emit(...frame: Frame): void;
  /** Sends an event and returns the frames received up to its acknowledgement, which has no arguments. */
  request(...frame: Frame): Promise<readonly Frame[]>;
  /** Sends an event and returns its acknowledgement, ignoring frames received before it. */
  emitWithAck(...frame: Frame): Promise<readonly unknown[]>;
  /** Takes the next frame. */
  next(): Promise<Frame>;
  /** Takes the next frame of a channel and returns its argument. */
  nextOn(channel: string): Promise<unknown>;
  /** Resolves once it has connected this many times. */
  waitForConnect(count: number): Promise<void>;
  waitForUpgrade(): Promise<void>;
  /** Resolves with the reason of the next disconnect. */
  waitForDisconnect(): Promise<string>;
  /** Resolves at the next heartbeat that the server sends or acknowledges. */
  waitForHeartbeat(): Promise<void>;
  close(): void;
}

type StateEvent = Extract<ClientEvent, { type: 'connect' | 'upgrade' | 'heartbeat' }>;
type FrameEvent = Extract<ClientEvent, { type: 'frame' }>;
type AckEvent = Extract<ClientEvent, { type: 'acknowledgement' }>;

const TIMEOUT_MS = 15_000;

/** Opens a client, which may not be connected yet. */
export function openClient(kind: ClientKind, options: Omit<ClientOptions, 'channels'>): MatrixClient {
  const received = createReceiveQueue<FrameEvent | AckEvent>('frames');
  const states = createReceiveQueue<StateEvent>('states');
  const disconnects = createReceiveQueue<string>('disconnect');
  const counts = { connect: 0, upgrade: 0, heartbeat: 0 };
  let currentTransport = '';
  let lastId = 0;

  const handle = kind.open({ ...options, channels: LEGACY_CHANNELS }, (event) => {
    if (event.type === 'disconnect') disconnects.push(event.reason);
    else if (event.type === 'acknowledgement') received.push(event);
    else if (event.type === 'frame') {
      if (!isPresence(event.frame)) received.push(event);
    } else {
      counts[event.type] += 1;
      if (event.type === 'connect') currentTransport = event.transport;
      if (event.type === 'upgrade') currentTransport = 'websocket';
      states.push(event);
    }
  });

  const takeFrame = async (matches: (frame: Frame) => boolean): Promise<Frame> => {
    const event = await received.next(
      (candidate) => candidate.type === 'frame' && matches(candidate.frame),
      TIMEOUT_MS,
    );
    return (event as FrameEvent).frame;
  };
  const waitForState = async (type: StateEvent['type'], isReached: () => boolean): Promise<void> => {
    while (!isReached()) await states.next((event) => event.type === type, TIMEOUT_MS);
  };

  return {
    get connectCount() {
      return counts.connect;
    },
    get transport() {
      return currentTransport;
    },
    emit: (...frame) => handle.emit(frame),
    async request(...frame) {
      const id = (lastId += 1);
      handle.emit(frame, id);
      const frames: Frame[] = [];
      for (;;) {
        const event = await received.next(undefined, TIMEOUT_MS);
        if (event.type === 'frame') frames.push(event.frame);
        else if (event.id === id && event.args.length === 0) return frames;
        else throw new Error(`unexpected acknowledgement: ${JSON.stringify(event)}`);
      }
    },
    async emitWithAck(...frame) {
      const id = (lastId += 1);
      handle.emit(frame, id);
      const event = await received.next(
        (candidate) => candidate.type === 'acknowledgement' && candidate.id === id,
        TIMEOUT_MS,
      );
      return event.type === 'acknowledgement' ? event.args : [];
    },
    next: () => takeFrame(() => true),
    async nextOn(channel) {
      const [, ...args] = await takeFrame((frame) => frame[0] === channel);
      if (args.length !== 1) throw new Error(`${channel} has the arguments ${JSON.stringify(args)}`);
      return args[0];
    },
    waitForConnect: (count) => waitForState('connect', () => counts.connect >= count),
    waitForUpgrade: () => waitForState('upgrade', () => currentTransport === 'websocket'),
    waitForDisconnect: () => disconnects.next(undefined, TIMEOUT_MS),
    async waitForHeartbeat() {
      const { heartbeat } = counts;
      await waitForState('heartbeat', () => counts.heartbeat > heartbeat);
    },
    close: () => handle.close(),
    [Symbol.dispose]: () => handle.close(),
  };
}

/** Whether a frame is a presence frame, which may arrive at any time. */
function isPresence([channel, payload]: Frame): boolean {
  if (channel !== 'circle' || typeof payload !== 'object' || payload === null) return false;
  const { event } = payload as { event?: unknown };
  return event === 'connect' || event === 'disconnect';
}
