import { createRequire } from 'node:module';
import { join } from 'node:path';

/** The generations of socket.io-client that are in the field; up to 2.5.0 they speak Engine.IO 3, then 4. */
export const clientVersions = [
  '1.0.6',
  '1.3.6',
  '1.3.7',
  '1.4.8',
  '1.7.4',
  '2.0.4',
  '2.5.0',
  '3.1.3',
  '4.0.1',
  '4.8.4',
] as const;

export type ClientVersion = (typeof clientVersions)[number];

export interface LegacyOptions {
  readonly transports?: readonly ('polling' | 'websocket')[];
  /** Without it a second connection to the same URL shares the first one's transport. */
  readonly forceNew?: boolean;
  readonly upgrade?: boolean;
  readonly reconnection?: boolean;
  readonly reconnectionDelay?: number;
  readonly reconnectionDelayMax?: number;
  readonly timeout?: number;
  readonly path?: string;
  /** Text up to 1.x; an object from 2.0 on. */
  readonly query?: string | Readonly<Record<string, string>>;
  /** From 3.0 on. */
  readonly auth?: Readonly<Record<string, unknown>>;
  /** Since 1.6 under Node. */
  readonly extraHeaders?: Readonly<Record<string, string>>;
  /** From 4.6 on: how often an event that is not acknowledged in time is sent again. */
  readonly retries?: number;
  readonly ackTimeout?: number;
}

/** What all generations have in common. */
export interface LegacySocket {
  readonly connected: boolean;
  /** Not there before 1.4; `io.engine.id` is, and differs from this one from 3.0 on. */
  readonly id?: string;
  readonly io: {
    readonly engine: {
      readonly id: string;
      readonly transport: { readonly name: 'polling' | 'websocket' };
      /** `upgrade`, and `packet` for each that comes. */
      on(event: string, listener: (...args: unknown[]) => void): unknown;
      close(): void;
    };
  };
  on(event: string, listener: (...args: unknown[]) => void): this;
  once(event: string, listener: (...args: unknown[]) => void): this;
  off(event: string, listener?: (...args: unknown[]) => void): this;
  emit(event: string, ...args: unknown[]): this;
  connect(): this;
  close(): this;
}

export type LegacyIo = (url: string, options?: LegacyOptions) => LegacySocket;

const require = createRequire(import.meta.url);

/** Loads one generation's client, unmodified, as it would have loaded under the Node of its time. */
export function loadClient(version: ClientVersion): LegacyIo {
  const { WebSocket } = globalThis;
  // Versions 1.4 to 2.5 would take Node's own WebSocket for a browser's, and prefer it to ws.
  Reflect.deleteProperty(globalThis, 'WebSocket');
  try {
    return require(`sio-${version}`) as LegacyIo;
  } finally {
    Object.defineProperty(globalThis, 'WebSocket', { value: WebSocket, configurable: true, writable: true });
  }
}

/** The path of the script that web pages of the time included. */
export function browserBundle(version: ClientVersion): string {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const folder = major === 1 && minor < 5 ? '' : 'dist';
  return join(import.meta.dirname, 'node_modules', `sio-${version}`, folder, 'socket.io.js');
}
