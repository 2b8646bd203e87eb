import type { IncomingHttpHeaders } from 'node:http';

/** The protocol and library of a legacy client, detected from its handshake. */
export interface ClientKind {
  /** Engine.IO protocol: 3 for Socket.IO 1.x and 2.x, 4 for 3.x and 4.x. */
  readonly protocol: 3 | 4;
  readonly library: Library;
}

/** The client libraries that can be distinguished; `unknown` for all others, and for a bare WebSocket. */
export type Library =
  'js 1.0-1.3' | 'js 1.4-2.x' | 'js 1.0-2.x' | 'js 3.x-4.x' | 'java' | 'python' | 'swift' | 'unknown';

export type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Detects a client from its `EIO` parameter, the format of its request timestamp `t`, and its user agent. */
export function detectClient(query: Query, headers: IncomingHttpHeaders): ClientKind {
  const protocol = query['EIO'] === '4' ? 4 : 3;
  return { protocol, library: detectLibrary(query, headers['user-agent'] ?? '') };
}

/** Whether the client may be socket.io-client 4.6 or later, which sends one event at a time if the app sets `retries`. */
export const mayRetryEvents = ({ protocol, library }: ClientKind): boolean =>
  protocol === 4 && (library === 'js 3.x-4.x' || library === 'unknown');

function detectLibrary({ EIO, t }: Query, agent: string): Library {
  // The Swift client before version 16 sends no `EIO`.
  if (EIO === undefined || /CFNetwork|Darwin/.test(agent)) return 'swift';
  if (/python|aiohttp/i.test(agent)) return 'python';
  if (/^(okhttp|java|dalvik)/i.test(agent)) return 'java';
  if (EIO === '2' || /^\d{10,}-\d+$/.test(String(t))) return 'js 1.0-1.3';
  if (t !== undefined) return EIO === '4' ? 'js 3.x-4.x' : 'js 1.4-2.x';
  // Only polling requests have a timestamp, and only browsers send a user agent.
  if (!agent.startsWith('Mozilla/')) return 'unknown';
  return EIO === '4' ? 'js 3.x-4.x' : 'js 1.0-2.x';
}
