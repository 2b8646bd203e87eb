import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ActorKey } from '../../actor.ts';
import type { ByteLedgers } from '../../lib/byte-ledger.ts';
import { NewestFirst } from '../../lib/newest-first.ts';
import { UNKNOWN_ACCOUNTS } from '../../lib/turn-clock.ts';
import type { TurnClock } from '../../lib/turn-clock.ts';
import type { Logger } from '../../log.ts';
import { findTokenInRequest } from '../bearer-token.ts';
import { limitChunks } from './chunk-limit.ts';
import type { HttpPolicy } from './policy.ts';
import { pathOf } from './request-head.ts';
import { sendHttpError } from './respond.ts';
import type { HttpErrorResponse } from './respond.ts';
import { createRouter } from './router.ts';
import type { Route } from './router.ts';
import { SerialRequests } from './serial-requests.ts';
import type { HttpTimeouts } from './timeouts.ts';

/** Checks per timeout. */
const TIMEOUT_CHECKS = 6;

interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** Finds the account of a token that was valid before, on this node. */
export type FindKnownAccount = (token: string) => ActorKey | undefined;

/** Until its token or its Engine.IO session is known, a request that names one counts as one of an unknown account. */
function flowOf(request: IncomingMessage, findKnownAccount: FindKnownAccount): string | undefined {
  const found = findTokenInRequest(request);
  if (found === undefined) return /[?&]sid=/.test(request.url ?? '') ? UNKNOWN_ACCOUNTS : undefined;
  const account = found.token === undefined ? undefined : findKnownAccount(found.token);
  return account ?? UNKNOWN_ACCOUNTS;
}

/** Shared by all sockets: a listener for each would be kept as long as its WebSocket. */
function destroyThis(this: Duplex): void {
  this.destroy();
}

/** Responds with an error before the body has arrived, and closes the connection. What arrived is dropped with it. */
function endBody(response: ServerResponse, error: HttpErrorResponse): void {
  const { socket } = response.req;
  if (response.headersSent) return void socket.destroy();
  response.shouldKeepAlive = false;
  response.once('finish', () => socket.destroy());
  sendHttpError(response, error);
}

const BODY_TIMEOUT: HttpErrorResponse = {
  status: 408,
  code: 'INVALID_INPUT',
  message: 'The request body did not arrive in time.',
};

const TOO_MANY_CHUNKS: HttpErrorResponse = {
  status: 413,
  code: 'LIMIT_EXCEEDED',
  message: 'The request body has too many small chunks.',
};

export interface RequestsOptions {
  readonly routes: readonly Route[];
  readonly policy: HttpPolicy;
  readonly timeouts: HttpTimeouts;
  readonly turnClock: TurnClock;
  readonly findKnownAccount: FindKnownAccount;
  readonly inboundLedgers: ByteLedgers['inbound'];
  /**
   * Called after each response and each refused upgrade, with the path of its route, or `unknown`. Without a status, the
   * connection ended before the response.
   */
  readonly onResponse: (route: string, status: number | undefined) => void;
  readonly log: Logger;
}

/** The requests and upgrades of a gateway, on a server of its own or of a host. */
export interface Requests {
  receive(request: IncomingMessage, response: ServerResponse): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Whether a route serves the path. */
  serves(request: IncomingMessage): boolean;
  /** Whether bytes of a response have been sent on the connection since it was idle. */
  hasResponse(socket: Duplex): boolean;
  /** Closes each connection after its next response, unless it is of a session. */
  drain(): void;
  /** Closes each connection after the response that is in flight. */
  endKeepAlive(): void;
  /** Resolves when the requests that are in flight have their responses. */
  whenIdle(): Promise<void>;
  /** Destroys the connections of the requests that are in flight. */
  destroy(): void;
  /** Stops the checks for bodies and upgrades that take too long. */
  stop(): void;
}

/** Creates the handling of requests: in order by connection, in turns of the event loop, each within its time. */
export function createRequests({
  routes,
  policy,
  timeouts,
  turnClock,
  findKnownAccount,
  inboundLedgers,
  onResponse,
  log,
}: RequestsOptions): Requests {
  const router = createRouter(routes, policy, onResponse);
  const handleInTurn = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (turnClock.isOver()) await turnClock.nextTurn(flowOf(request, findKnownAccount));
    if (!response.closed) await router.handle(request, response);
  };
  let isDraining = false;
  /** When each request in flight was received. */
  const receivedAt = new Map<ServerResponse, number>();
  /** The calls of `whenIdle` that wait, each with the responses that are not closed yet. */
  const waits = new Map<() => void, Set<ServerResponse>>();
  const endWaits = (response: ServerResponse): void => {
    for (const [resolve, responses] of waits) {
      responses.delete(response);
      if (responses.size > 0) continue;
      waits.delete(resolve);
      resolve();
    }
  };
  const requests = new SerialRequests((request, response) => {
    if (isDraining) closeAfter(response);
    receivedAt.set(response, performance.now());
    response.once('close', () => {
      receivedAt.delete(response);
      endWaits(response);
      onResponse(router.routeOf(request), response.headersSent ? response.statusCode : undefined);
    });
    handleInTurn(request, response).catch((error: unknown) => {
      log.error({ err: error, path: pathOf(request) }, 'request failed');
      if (response.headersSent) response.destroy();
      else sendHttpError(response, { status: 500, code: 'INTERNAL', message: 'Unexpected error.' });
    });
  }, inboundLedgers);
  /** `Connection: close` keeps the client from reusing a connection that is about to close. */
  const closeAfter = (response: ServerResponse): void => {
    const { socket } = response.req;
    if (response.headersSent) response.once('close', () => socket.destroySoon());
    else if (!router.isOfSession(response.req)) response.shouldKeepAlive = false;
  };
  const endSlowBodies = (): void => {
    const now = performance.now();
    for (const [response, time] of receivedAt) {
      // In the order of arrival.
      if (now - time <= timeouts.bodyMs) return;
      if (!response.req.complete && !router.isUpload(response.req)) endBody(response, BODY_TIMEOUT);
    }
  };
  const bodyTimer = setInterval(endSlowBodies, timeouts.bodyMs / TIMEOUT_CHECKS).unref();
  const guardUpgrade = ({ request, socket }: Upgrade, work: () => void): void => {
    try {
      work();
    } catch (error) {
      log.error({ err: error, path: pathOf(request) }, 'upgrade failed');
      socket.destroy();
    }
  };
  const createUpgrades = (flow: string | undefined): NewestFirst<Upgrade> =>
    new NewestFirst(
      turnClock,
      flow,
      ({ socket }) => socket.destroyed,
      (upgrade) => guardUpgrade(upgrade, () => router.upgrade(upgrade.request, upgrade.socket, upgrade.head)),
    );
  const upgrades = { account: createUpgrades('upgrades'), anonymous: createUpgrades(undefined) };
  // A client that waits to be upgraded has no other timeout.
  const destroyUnserved = (): void => {
    for (const waiting of Object.values(upgrades))
      for (const { socket } of waiting.takeOlderThan(timeouts.headersMs)) socket.destroy();
  };
  const waitTimer = setInterval(destroyUnserved, timeouts.headersMs / TIMEOUT_CHECKS).unref();
  return {
    receive(request, response) {
      limitChunks(request, response, () => endBody(response, TOO_MANY_CHUNKS));
      requests.receive(request, response);
    },
    upgrade(request, socket, head) {
      socket.on('error', destroyThis);
      const upgrade = { request, socket, head };
      guardUpgrade(upgrade, () =>
        upgrades[flowOf(request, findKnownAccount) === undefined ? 'anonymous' : 'account'].add(upgrade),
      );
    },
    serves: (request) => router.serves(request),
    hasResponse: (socket) => requests.hasResponse(socket),
    drain() {
      isDraining = true;
      for (const response of receivedAt.keys()) closeAfter(response);
    },
    endKeepAlive() {
      for (const response of receivedAt.keys()) response.shouldKeepAlive = false;
    },
    whenIdle() {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (receivedAt.size === 0) resolve();
      else waits.set(resolve, new Set(receivedAt.keys()));
      return promise;
    },
    destroy() {
      for (const response of receivedAt.keys()) response.destroy();
    },
    stop() {
      clearInterval(bodyTimer);
      clearInterval(waitTimer);
    },
  };
}
