import type { IncomingMessage } from 'node:http';
import type { Config } from '../../config.ts';
import { createHostCheck } from './allowed-hosts.ts';
import type { IsHostAllowed } from './allowed-hosts.ts';
import { createCors } from './cors.ts';
import type { Cors } from './cors.ts';
import { createOperatorAccess } from './operator-access.ts';
import type { OperatorAccess } from './operator-access.ts';
import { createSecurityHeaders } from './response-headers.ts';
import type { SecurityHeadersOf } from './response-headers.ts';

/** Which requests are served, and the headers of every response, whatever the route. */
export interface HttpPolicy {
  readonly cors: Cors;
  readonly isHostAllowed: IsHostAllowed;
  /** Whether the server serves the client of the request at all. */
  isAdmitted(request: IncomingMessage): boolean;
  readonly securityHeadersOf: SecurityHeadersOf;
  operatorAccess(request: IncomingMessage): OperatorAccess;
  /** Called for each request of operators that has no token, or a wrong one. */
  reportRefusedOperator(request: IncomingMessage): void;
}

export const createHttpPolicy = (
  config: Config,
  reportRefusedOperator: (request: IncomingMessage) => void = () => undefined,
): HttpPolicy => ({
  cors: createCors(config.CORS_ORIGINS),
  isHostAllowed: createHostCheck(config),
  isAdmitted: () => true,
  securityHeadersOf: createSecurityHeaders(config.TRUSTED_PROXIES),
  operatorAccess: createOperatorAccess(config),
  reportRefusedOperator,
});
