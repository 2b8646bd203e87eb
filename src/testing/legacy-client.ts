import type { EmittedChannel } from '../bridge/contract/frame-schemas.ts';
import { createReceiveQueue } from './receive-queue.ts';

/** The methods used of a socket.io-client socket, of any version. */
export interface LegacySocket {
  on(channel: string, listener: (...args: never[]) => void): unknown;
  emit(channel: string, ...args: unknown[]): unknown;
  close(): unknown;
  readonly connected: boolean;
}

/** `io` of socket.io-client, of any version. */
export type LegacyIo = (url: string, options: Record<string, unknown>) => LegacySocket;

export interface LegacyOptions {
  /** `io` of the client library. Default: the installed `socket.io-client`. */
  readonly io?: LegacyIo;
  /** Allowed transports. Default: those of the library. */
  readonly transports?: readonly ('polling' | 'websocket')[];
}

/** A received event: its channel and arguments. */
export interface LegacyFrame {
  readonly channel: string;
  readonly args: readonly unknown[];
}

/** A connection of a legacy client, which queues received frames until a test reads them. */
export interface LegacyClient extends AsyncDisposable {
  readonly socket: LegacySocket;
  emit(channel: string, ...args: unknown[]): void;
  /** Takes the next frame of a channel, waiting for it if necessary, and returns its first argument. */
  expect<Payload = unknown>(channel: string, timeoutMs?: number): Promise<Payload>;
  /** Emits, and returns the payload of the next `success`. Rejects on `error`. */
  push<Payload = unknown>(channel: string, payload?: unknown): Promise<Payload>;
  /** Emits, and returns the payload of the next `error`. Rejects on `success`. */
  expectError(channel: string, payload?: unknown): Promise<string>;
  /** Emits, and returns the arguments of the acknowledgement. */
  emitWithAck(channel: string, ...args: unknown[]): Promise<readonly unknown[]>;
  /** Returns the queued frames without taking them. */
  pending(): readonly LegacyFrame[];
  /** Resolves when the socket is disconnected. */
  waitForDisconnect(): Promise<void>;
  close(): void;
}

/** The channels on which a gateway emits. */
export const LEGACY_CHANNELS: readonly string[] = Object.keys({
  success: true,
  error: true,
  message: true,
  media: true,
  writing: true,
  circle: true,
  circle_invite: true,
  conversation: true,
  'device created': true,
  webrtc_config: true,
  webrtc_forward: true,
} satisfies Record<EmittedChannel, true>);

/** Connects a legacy client without authenticating it, and resolves once it is connected. */
export async function connectLegacy(url: string, options: LegacyOptions = {}): Promise<LegacyClient> {
  const io = options.io ?? (await import('socket.io-client')).io;
  const transports = options.transports === undefined ? {} : { transports: [...options.transports] };
  const socket = io(url, {
    forceNew: true,
    'force new connection': true,
    reconnection: false,
    ...transports,
  });
  const frames = createReceiveQueue<LegacyFrame>('frames');
  const disconnects = createReceiveQueue<true>('disconnect');
  for (const channel of LEGACY_CHANNELS) socket.on(channel, (...args) => frames.push({ channel, args }));
  socket.on('disconnect', () => {
    disconnects.push(true);
    frames.fail(new Error(`The socket is disconnected; queued: ${JSON.stringify(frames.pending())}`));
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('connect', () => resolve());
    socket.on('connect_error', (...[error]: unknown[]) =>
      reject(error instanceof Error ? error : new Error(String(error))),
    );
  });

  const expect = async <Payload>(channel: string, timeoutMs?: number) =>
    (await frames.next((frame) => frame.channel === channel, timeoutMs)).args[0] as Payload;
  const request = async (channel: string, payload: unknown[]): Promise<LegacyFrame> => {
    socket.emit(channel, ...payload);
    return frames.next((frame) => frame.channel === 'success' || frame.channel === 'error');
  };
  const args = (payload: unknown) => (payload === undefined ? [] : [payload]);

  return {
    socket,
    emit: (channel, ...payload) => void socket.emit(channel, ...payload),
    expect,
    async push<Payload>(channel: string, payload?: unknown) {
      const frame = await request(channel, args(payload));
      if (frame.channel === 'error') throw new Error(`${channel} failed: ${String(frame.args[0])}`);
      return frame.args[0] as Payload;
    },
    async expectError(channel, payload) {
      const frame = await request(channel, args(payload));
      if (frame.channel === 'success')
        throw new Error(`${channel} did not fail: ${JSON.stringify(frame.args[0])}`);
      return String(frame.args[0]);
    },
    emitWithAck: (channel, ...payload) =>
      new Promise(
        (resolve) => void socket.emit(channel, ...payload, (...values: unknown[]) => resolve(values)),
      ),
    pending: frames.pending,
    async waitForDisconnect() {
      await disconnects.next();
    },
    close: () => void socket.close(),
    async [Symbol.asyncDispose]() {
      socket.close();
    },
  };
}
