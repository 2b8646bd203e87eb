import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** The versions of socket.io-client in use: up to 2.5.0 they speak Engine.IO 3, then 4. */
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
  /** Without it, a second connection to the same URL shares the transport of the first. */
  readonly forceNew?: boolean;
  readonly upgrade?: boolean;
  readonly reconnection?: boolean;
  readonly reconnectionDelay?: number;
  readonly reconnectionDelayMax?: number;
  readonly timeout?: number;
  readonly path?: string;
  /** A string up to 1.x; an object since 2.0. */
  readonly query?: string | Readonly<Record<string, string>>;
  /** Since 3.0. */
  readonly auth?: Readonly<Record<string, unknown>>;
  /** Since 1.6 under Node. */
  readonly extraHeaders?: Readonly<Record<string, string>>;
  /** Since 4.6: how often an event is resent if it is not acknowledged within `ackTimeout`. */
  readonly retries?: number;
  readonly ackTimeout?: number;
}

/** The API that all versions have in common. */
export interface LegacySocket {
  readonly connected: boolean;
  /** Missing before 1.4, which has `io.engine.id`. The two differ since 3.0. */
  readonly id?: string;
  readonly io: {
    readonly engine: {
      readonly id: string;
      readonly transport: { readonly name: 'polling' | 'websocket' };
      /** Emits `upgrade`, and `packet` for each packet received. */
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

/**
 * Loads an unmodified socket.io-client of this version, as it loaded under the Node of its time. Throws if the legacy
 * clients are not installed.
 */
export function loadClient(version: ClientVersion): LegacyIo {
  requireInstalled();
  const { WebSocket } = globalThis;
  // Versions 1.4 to 2.5 take Node's own WebSocket for a browser's, and prefer it to ws.
  Reflect.deleteProperty(globalThis, 'WebSocket');
  try {
    return require(`sio-${version}`) as LegacyIo;
  } finally {
    Object.defineProperty(globalThis, 'WebSocket', { value: WebSocket, configurable: true, writable: true });
  }
}

/** Returns the path of the script that web pages include. Throws if the legacy clients are not installed. */
export function browserBundle(version: ClientVersion): string {
  requireInstalled();
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const folder = major === 1 && minor < 5 ? '' : 'dist';
  return join(import.meta.dirname, 'node_modules', `sio-${version}`, folder, 'socket.io.js');
}

/** `npm test` installs them first; a test that runs on its own on a fresh clone gets this hint. */
function requireInstalled(): void {
  if (existsSync(join(import.meta.dirname, 'node_modules'))) return;
  throw new Error('The legacy Socket.IO clients are not installed. Run: npm run pretest');
}
