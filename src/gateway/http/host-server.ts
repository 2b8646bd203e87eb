import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { ConfigError } from '../../config.ts';
import type { ConnectionSlots } from '../connection-slots.ts';
import { headerIncludes } from './request-head.ts';
import { createRequests } from './requests.ts';
import type { RequestsOptions } from './requests.ts';
import type { HttpDrain } from './server.ts';

/** An HTTP server of the host. TypeScript does not know the property, which `http.createServer` sets from its option. */
export type HostServer = (Server | SecureServer) & {
  shouldUpgradeCallback?: (request: IncomingMessage) => boolean;
};

export interface HostServerOptions extends RequestsOptions {
  readonly connectionSlots: ConnectionSlots;
}

/** Node destroys the connection of an upgrade without a listener, before it emits. */
const handledByEmit = (): void => undefined;

/** Without listeners of the host, Node serves its upgrades as plain requests, such as those that offer `h2c`. */
const hasUpgradeListeners = (host: HostServer): boolean =>
  host.listeners('upgrade').some((listener) => listener !== handledByEmit);

type Arguments = [first: IncomingMessage, second: ServerResponse | Duplex, head: Buffer];

/** Destroys the connection after a time without a byte, until the response has ended. */
function limitIdleTime(
  host: HostServer,
  { socket }: IncomingMessage,
  response: ServerResponse,
  timeoutMs: number,
): void {
  socket.setTimeout(timeoutMs);
  // Otherwise Node has set the timeout of an idle connection.
  response.once('close', () => void (host.keepAliveTimeout === 0 && socket.setTimeout(0)));
}

/**
 * Serves the routes on an HTTP server that the host has created, and leaves all other requests and upgrades to its listeners,
 * whether those were added before or are added later. Closing leaves the server as it was, and open.
 */
export function serveOnHost(host: HostServer, { connectionSlots, ...options }: HostServerOptions): HttpDrain {
  const { shouldUpgradeCallback: hostUpgrades } = host;
  if (hostUpgrades === undefined)
    throw new ConfigError(['server: must be a server of `node:http` or `node:https`, of Node 24.9 or newer']);
  const requests = createRequests(options);
  let isAttached = true;
  const receive = (request: IncomingMessage, response: ServerResponse): void => {
    // Otherwise a client that stops reading or sending would hold the request as long as the host's server allows.
    if (host.timeout === 0) limitIdleTime(host, request, response, options.timeouts.stalledMs);
    requests.receive(request, response);
  };
  const listeners = new Map<string | symbol, (...args: Arguments) => void>([
    ['request', (request, response) => receive(request, response as ServerResponse)],
    ['checkExpectation', (request, response) => receive(request, response as ServerResponse)],
    [
      'checkContinue',
      (request, response) => {
        (response as ServerResponse).writeContinue();
        receive(request, response as ServerResponse);
      },
    ],
    [
      'upgrade',
      (request, socket, head) => {
        // The connection is the gateway's from here. Others may carry requests of the host, too, and have no slot.
        connectionSlots.add(socket as Socket);
        requests.upgrade(request, socket as Duplex, head);
      },
    ],
  ]);
  const emit = host.emit.bind(host) as (event: string | symbol, ...args: unknown[]) => boolean;
  const emitToOwner = (event: string | symbol, ...args: unknown[]): boolean => {
    const listener = isAttached ? listeners.get(event) : undefined;
    if (listener === undefined || !requests.serves(args[0] as IncomingMessage)) return emit(event, ...args);
    listener(...(args as Arguments));
    return true;
  };
  const shouldUpgrade = (request: IncomingMessage): boolean =>
    isAttached && requests.serves(request)
      ? headerIncludes(request.headers.upgrade, 'websocket')
      : hasUpgradeListeners(host) && Reflect.apply(hostUpgrades, host, [request]);
  const ownEmit = Object.getOwnPropertyDescriptor(host, 'emit');
  Object.assign(host, { emit: emitToOwner, shouldUpgradeCallback: shouldUpgrade });
  host.on('upgrade', handledByEmit);
  /** A wrapper that was added later stays, and passes everything on. */
  const detach = (): void => {
    isAttached = false;
    host.off('upgrade', handledByEmit);
    if (host.shouldUpgradeCallback === shouldUpgrade) host.shouldUpgradeCallback = hostUpgrades;
    if ((host.emit as unknown) !== emitToOwner) return;
    if (ownEmit === undefined) Reflect.deleteProperty(host, 'emit');
    else Object.defineProperty(host, 'emit', ownEmit);
  };
  return {
    drain: requests.drain,
    whenIdle: requests.whenIdle,
    async close() {
      requests.endKeepAlive();
      detach();
      await requests.whenIdle();
      requests.stop();
    },
    destroyConnections() {
      requests.destroy();
      connectionSlots.destroyAll();
    },
  };
}
