import { connect, Socket } from 'node:net';
import pg from 'pg';
import type { BackendKey } from './session.ts';

const CANCEL_TIMEOUT_MS = 2_000;
const CANCEL_REQUEST_LENGTH = 16;
const CANCEL_REQUEST_CODE = 80_877_102;

/**
 * A client whose connection can be closed when the server is silent for a time, so that a query fails when the network
 * was cut without a reset. The server is asked to cancel the query.
 */
export class WatchedClient extends pg.Client {
  readonly #socket: Socket;

  constructor(config?: string | pg.ClientConfig) {
    const socket = new Socket();
    super({ ...(typeof config === 'string' ? { connectionString: config } : config), stream: () => socket });
    this.#socket = socket;
    socket.on('timeout', () => {
      requestCancel(this as unknown as CancelTarget);
      const error = new Error(`The database did not respond within ${socket.timeout ?? 0} ms.`);
      socket.destroy(Object.assign(error, { code: 'ETIMEDOUT' }));
    });
  }

  /** Closes the connection when there is no traffic for this time. */
  watch(inactivityTimeoutMs: number): void {
    this.#socket.setTimeout(inactivityTimeoutMs);
  }

  unwatch(): void {
    this.#socket.setTimeout(0);
  }
}

interface CancelTarget extends BackendKey {
  readonly host: string;
  readonly port: number;
}

/** Asks the server to cancel the query of a client, on a connection of its own, as the protocol defines. */
function requestCancel({ host, port, processID, secretKey }: CancelTarget): void {
  if (processID === null || secretKey === null) return;
  const request = Buffer.alloc(CANCEL_REQUEST_LENGTH);
  for (const [index, value] of [CANCEL_REQUEST_LENGTH, CANCEL_REQUEST_CODE, processID, secretKey].entries())
    request.writeInt32BE(value, 4 * index);
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  socket
    .setTimeout(CANCEL_TIMEOUT_MS, () => socket.destroy())
    // The server ends the query by its own limits.
    .on('error', () => undefined)
    .unref()
    .end(request);
}
