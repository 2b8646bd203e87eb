import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { OperatorAccess } from './operator-access.ts';
import type { HttpPolicy } from './policy.ts';
import { encodingOf, normalizedPathOf, normalizeHead, pathOf } from './request-head.ts';
import { sendRawError } from './raw-errors.ts';
import type { RawError, RejectUpgrade } from './raw-errors.ts';
import { drainRequest, sendHttpError } from './respond.ts';
import type { HttpErrorResponse } from './respond.ts';
import { setHeaders } from './response-headers.ts';

/** The handlers of one path or, if it ends in `/`, of all paths below it. */
export interface Route {
  readonly path: string;
  readonly methods?: readonly string[];
  handle?(request: IncomingMessage, response: ServerResponse): void | Promise<void>;
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer, reject: RejectUpgrade): void;
  /** Whether the body of a request may be a file, and so may take as long as the slowest upload. */
  isUpload?(request: IncomingMessage): boolean;
  /** Whether the request belongs to a session of this node, on which its client depends. */
  isOfSession?(request: IncomingMessage): boolean;
  /** Headers of the response to OPTIONS. */
  readonly optionsHeaders?: Readonly<Record<string, string>>;
  /** Whether the handler sets the CORS headers itself. */
  readonly ownCors?: boolean;
  /**
   * Whether only operators may request it (`createOperatorAccess`), and no page of another origin. `page`: it is without
   * data, and so also served without the token, which a browser that opens a page cannot send; hidden as the others.
   */
  readonly isForOperators?: true | 'page';
  /** Whether it responds under any `Host`: load balancers check the health of nodes by names of their own. */
  readonly anyHost?: boolean;
  /** Whether the request may come from a client that is not admitted (`HttpPolicy`), to be admitted. */
  isEntrance?(request: IncomingMessage): boolean;
  /** Whether pages of other origins may embed the responses without CORS, as scripts or images. */
  readonly isEmbeddable?: boolean;
}

export interface Router {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  isUpload(request: IncomingMessage): boolean;
  isOfSession(request: IncomingMessage): boolean;
  /** Whether a route has the path of a request whose head is not normalised yet. */
  serves(request: IncomingMessage): boolean;
  /** Returns the path of the request's route, or `unknown`. */
  routeOf(request: IncomingMessage): string;
}

const ALL_METHODS = ['GET', 'HEAD', 'POST'];

/**
 * Creates a router to the first route that matches the path. Rejects requests that no route serves or the policy forbids,
 * and sets the headers that every response has. Calls `onRefused` with each upgrade that it, or its route, rejects.
 */
export function createRouter(
  routes: readonly Route[],
  policy: HttpPolicy,
  onRefused: (route: string, status: number) => void,
): Router {
  const { cors } = policy;
  const findByPath = (path: string): Route | undefined =>
    routes.find(
      (route) =>
        path === route.path ||
        (route.path.endsWith('/') && route.path !== '/' && `${path}/`.startsWith(route.path)),
    );
  const find = (request: IncomingMessage): Route | undefined => findByPath(pathOf(request));
  const accessOf = (route: Route | undefined, request: IncomingMessage): OperatorAccess => {
    if (route?.isForOperators === undefined) return 'allowed';
    const access = policy.operatorAccess(request);
    return route.isForOperators === 'page' && access === 'refused' ? 'allowed' : access;
  };
  const routeOf = (request: IncomingMessage): string => find(request)?.path ?? 'unknown';
  return {
    serves: (request) => findByPath(normalizedPathOf(request)) !== undefined,
    routeOf,
    isUpload: (request) => find(request)?.isUpload?.(request) === true,
    isOfSession: (request) => find(request)?.isOfSession?.(request) === true,
    async handle(request, response) {
      const isWellFormed = normalizeHead(request);
      setHeaders(response, policy.securityHeadersOf(request));
      if (!isWellFormed || hasUnknownExpectation(request)) {
        response.shouldKeepAlive = false;
        return sendHttpError(response, isWellFormed ? EXPECTATION_FAILED : MALFORMED_HOST);
      }
      const found = find(request);
      if (!policy.isAdmitted(request) && found?.isEntrance?.(request) !== true) {
        response.shouldKeepAlive = false;
        drainRequest(request);
        return sendHttpError(response, NOT_ADMITTED);
      }
      const access = accessOf(found, request);
      const route = access === 'hidden' ? undefined : found;
      const methods = route?.methods ?? ALL_METHODS;
      if (route?.isEmbeddable === true) response.setHeader('cross-origin-resource-policy', 'cross-origin');
      if (route?.anyHost !== true && !policy.isHostAllowed(request)) {
        drainRequest(request);
        return sendHttpError(response, HOST_NOT_ALLOWED);
      }
      if (route?.ownCors !== true && route?.isForOperators === undefined)
        cors.setHeaders(request, response, methods);
      if (access === 'refused') {
        policy.reportRefusedOperator(request);
        drainRequest(request);
        return sendHttpError(response, OPERATOR_TOKEN_REQUIRED);
      }
      const encoding = encodingOf(request);
      if (encoding !== undefined) {
        drainRequest(request);
        response.setHeader('accept-encoding', 'identity');
        return sendHttpError(response, unsupportedEncodingError(encoding));
      }
      if (route?.ownCors === true) return route.handle?.(request, response);
      if (!cors.isAllowed(request)) return sendHttpError(response, ORIGIN_NOT_ALLOWED);
      if (request.method === 'OPTIONS') {
        setHeaders(response, route?.optionsHeaders ?? {});
        response.writeHead(204, { allow: [...methods, 'OPTIONS'].join(', ') }).end();
        return;
      }
      if (route?.handle === undefined) return sendHttpError(response, PATH_NOT_FOUND);
      if (!methods.includes(request.method ?? '')) {
        response.setHeader('allow', [...methods, 'OPTIONS'].join(', '));
        return sendHttpError(response, methodNotAllowedError(methods));
      }
      if (route.upgrade !== undefined && request.headers['sec-websocket-key'] !== undefined) {
        response.setHeader('upgrade', 'websocket').setHeader('connection', 'close, upgrade');
        return sendHttpError(response, UPGRADE_REQUIRED);
      }
      return route.handle(request, response);
    },
    upgrade(request, socket, head) {
      const isWellFormed = normalizeHead(request);
      const reject = (error: RawError): void => {
        onRefused(routeOf(request), error.status);
        sendRawError(socket, error, policy.securityHeadersOf(request));
      };
      if (!isWellFormed) return reject(MALFORMED_HOST);
      if (!policy.isAdmitted(request)) return reject(NOT_ADMITTED);
      const route = find(request);
      if (route?.upgrade === undefined) return reject(PATH_NOT_FOUND);
      if (!policy.isHostAllowed(request)) return reject(HOST_NOT_ALLOWED);
      if (!cors.isAllowed(request)) return reject(ORIGIN_NOT_ALLOWED);
      // `ws` and Engine.IO compare the whole header, which may list several protocols.
      request.headers.upgrade = 'websocket';
      route.upgrade(request, socket, head, reject);
    },
  };
}

const MALFORMED_HOST: HttpErrorResponse = {
  status: 400,
  code: 'INVALID_INPUT',
  message: 'The Host header is missing or malformed.',
};

/** Whether `Expect` has a value other than the one that Node handles. */
const hasUnknownExpectation = ({ headers: { expect } }: IncomingMessage): boolean =>
  expect !== undefined && !/(?:^|\W)100-continue(?:$|\W)/i.test(expect);

const EXPECTATION_FAILED: HttpErrorResponse = {
  status: 417,
  code: 'INVALID_INPUT',
  message: 'The value of Expect is not supported.',
};

export const NOT_ADMITTED: HttpErrorResponse = {
  status: 403,
  code: 'FORBIDDEN',
  message:
    'This address is for one phone, and its code works once. Show a new code with “Bob on your phone” on the page of the gateway.',
};

export const PATH_NOT_FOUND: HttpErrorResponse = {
  status: 404,
  code: 'NOT_FOUND',
  message: 'No resource at this path.',
};

const HOST_NOT_ALLOWED: HttpErrorResponse = {
  status: 403,
  code: 'FORBIDDEN',
  message: 'This host is not a name of this gateway: list its origin in CORS_ORIGINS.',
};

const OPERATOR_TOKEN_REQUIRED: HttpErrorResponse = {
  status: 401,
  code: 'UNAUTHENTICATED',
  message: 'Send `Authorization: Bearer <ADMIN_TOKEN>`.',
};

const ORIGIN_NOT_ALLOWED: HttpErrorResponse = {
  status: 403,
  code: 'FORBIDDEN',
  message: 'This origin is not allowed (CORS_ORIGINS).',
};

const UPGRADE_REQUIRED: HttpErrorResponse = {
  status: 426,
  code: 'INVALID_INPUT',
  message:
    'This is a WebSocket handshake without `Upgrade` and `Connection: Upgrade`. A proxy in between must pass them on.',
};

const methodNotAllowedError = (methods: readonly string[]): HttpErrorResponse => ({
  status: 405,
  code: 'INVALID_INPUT',
  message: `Use ${methods.join(' or ')}.`,
});

const unsupportedEncodingError = (encoding: string): HttpErrorResponse => ({
  status: 415,
  code: 'INVALID_INPUT',
  message: `The body is encoded as ${encoding}, which is not supported. Send it without Content-Encoding.`,
});
