import type { IncomingMessage } from 'node:http';
import { mediaTypeOf } from './request-head.ts';
import type { HttpErrorResponse } from './respond.ts';

/** Types of bodies that a page can send to any origin without a preflight (Fetch, CORS-safelisted request headers). */
const SAFELISTED_TYPES: ReadonlySet<string> = new Set([
  '',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  'text/plain',
]);

/** Headers that a page can send to another origin only after a preflight. Clients of GraphQL servers send one of these. */
const PREFLIGHTED_HEADERS = [
  'authorization',
  'x-parley-preflight',
  // Apollo Server and Apollo Router
  'apollo-require-preflight',
  'x-apollo-operation-name',
  // Hot Chocolate
  'graphql-preflight',
  // GraphQL Yoga
  'x-graphql-yoga-csrf',
  'x-requested-with',
];

/**
 * Whether a page could have sent the request to another origin without a preflight, so that CORS did not protect its side
 * effects.
 */
export const isUnpreflighted = (request: IncomingMessage): boolean =>
  request.method === 'POST' &&
  SAFELISTED_TYPES.has(mediaTypeOf(request)) &&
  PREFLIGHTED_HEADERS.every((name) => (request.headers[name] ?? '') === '');

export const PREFLIGHT_REQUIRED: HttpErrorResponse = {
  status: 403,
  code: 'FORBIDDEN',
  message:
    'A page of another origin must send this body with the header `x-parley-preflight`, so that its browser asks first.',
};
