import type { EmittedChannel } from '../bridge/contract/schemas.ts';
import { createInbox } from './inbox.ts';

/** The part of socket.io-client, of any version, that a test needs. */
export interface LegacySocket {
  on(channel: string, listener: (...args: never[]) => void): unknown;
  emit(channel: string, ...args: unknown[]): unknown;
  close(): unknown;
  readonly connected: boolean;
}

/** `io` of socket.io-client, of any version. */
export type LegacyIo = (url: string, options: Record<string, unknown>) => LegacySocket;

export interface LegacyOptions {
  /** The client library; without it, the `socket.io-client` that the project has installed. */
  readonly io?: LegacyIo;
  /** Which transports it may use; without it, the library's defaults. */
  readonly transports?: readonly ('polling' | 'websocket')[];
}

/** A frame that came: its channel and its arguments. */
export interface LegacyFrame {
  readonly channel: string;
  readonly args: readonly unknown[];
}

/** One connection of an old client. Frames wait here until they are asked for. */
export interface LegacyClient extends AsyncDisposable {
  readonly socket: LegacySocket;
  emit(channel: string, ...args: unknown[]): void;
  /** Takes the first waiting frame of a channel and answers its first argument; waits for it when there is none. */
  expect<Payload = unknown>(channel: string, timeoutMs?: number): Promise<Payload>;
  /** Emits, and answers what comes on `success`. Rejects with what comes on `error` instead. */
  push<Payload = unknown>(channel: string, payload?: unknown): Promise<Payload>;
  /** Emits, and answers what comes on `error`. Rejects with what comes on `success` instead. */
  refused(channel: string, payload?: unknown): Promise<string>;
  /** Emits, and answers the arguments of the acknowledgement. */
  acknowledged(channel: string, ...args: unknown[]): Promise<readonly unknown[]>;
  /** Frames that nobody has asked for. */
  waiting(): readonly LegacyFrame[];
  /** Resolves when the connection is over. */
  disconnected(): Promise<void>;
  close(): void;
}

/** Every channel that a gateway emits on. */
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

/** Connects an old client and resolves once it is connected. It is not authenticated yet. */
export async function connectLegacy(url: string, options: LegacyOptions = {}): Promise<LegacyClient> {
  const io = options.io ?? (await import('socket.io-client')).io;
  const transports = options.transports === undefined ? {} : { transports: [...options.transports] };
  const socket = io(url, {
    forceNew: true,
    'force new connection': true,
    reconnection: false,
    ...transports,
  });
  const frames = createInbox<LegacyFrame>('frames');
  const ends = createInbox<true>('disconnect');
  for (const channel of LEGACY_CHANNELS) socket.on(channel, (...args) => frames.push({ channel, args }));
  socket.on('disconnect', () => {
    ends.push(true);
    frames.fail(new Error(`The connection is over; there were ${JSON.stringify(frames.waiting())}`));
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('connect', () => resolve());
    socket.on('connect_error', (...[error]: unknown[]) =>
      reject(error instanceof Error ? error : new Error(String(error))),
    );
  });

  const expect = async <Payload>(channel: string, timeoutMs?: number) =>
    (await frames.next((frame) => frame.channel === channel, timeoutMs)).args[0] as Payload;
  const answer = async (channel: string, payload: unknown[]): Promise<LegacyFrame> => {
    socket.emit(channel, ...payload);
    return frames.next((frame) => frame.channel === 'success' || frame.channel === 'error');
  };
  const args = (payload: unknown) => (payload === undefined ? [] : [payload]);

  return {
    socket,
    emit: (channel, ...payload) => void socket.emit(channel, ...payload),
    expect,
    async push<Payload>(channel: string, payload?: unknown) {
      const frame = await answer(channel, args(payload));
      if (frame.channel === 'error') throw new Error(`${channel} was refused: ${String(frame.args[0])}`);
      return frame.args[0] as Payload;
    },
    async refused(channel, payload) {
      const frame = await answer(channel, args(payload));
      if (frame.channel === 'success')
        throw new Error(`${channel} was not refused: ${JSON.stringify(frame.args[0])}`);
      return String(frame.args[0]);
    },
    acknowledged: (channel, ...payload) =>
      new Promise(
        (resolve) => void socket.emit(channel, ...payload, (...values: unknown[]) => resolve(values)),
      ),
    waiting: frames.waiting,
    async disconnected() {
      await ends.next();
    },
    close: () => void socket.close(),
    async [Symbol.asyncDispose]() {
      socket.close();
    },
  };
}
