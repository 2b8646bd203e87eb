import type { IncomingMessage } from 'node:http';
import type { HttpPolicy } from './policy.ts';

export type DemoPolicy = Pick<HttpPolicy, 'operatorAccess' | 'cors'>;

/**
 * Whether the request may be of the demo on the page, on this machine: one that operators may send without a token, from no
 * page of another origin.
 */
export const isOfDemoPage = (request: IncomingMessage, { operatorAccess, cors }: DemoPolicy): boolean =>
  operatorAccess(request) === 'allowed' && cors.isTrusted(request);
