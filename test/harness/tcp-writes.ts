import { Socket } from 'node:net';
import { vi } from 'vitest';
import type { WebSocket } from 'ws';

/** Counts the writes of this process to the other end of a client's connection, from now until mocks are restored. */
export function countWritesTo(client: WebSocket): () => number {
  const { localPort } = (client as unknown as { readonly _socket: Socket })._socket;
  const spies = (['_write', '_writev'] as const).map((method) => vi.spyOn(Socket.prototype, method));
  return () => {
    const writers = spies.flatMap(({ mock }) => mock.contexts) as unknown as Socket[];
    return writers.filter(({ remotePort }) => remotePort === localPort).length;
  };
}
