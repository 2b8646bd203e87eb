import type { ActorRef } from '../actor.ts';
import type { SecurityLog } from './security-log.ts';

/**
 * The limits that refuse requests, as in the label of `parley_refusals_total`, and whether a refusal is recorded in the
 * security log: those that honest clients meet are only counted. Documented in docs/operations/limits.md.
 */
export const LIMITS = {
  account: 'recorded',
  connection: 'recorded',
  address: 'recorded',
  anonymous: 'recorded',
  concurrency: 'recorded',
  subscriptions: 'recorded',
  'subscription bytes': 'recorded',
  statements: 'counted',
  operations: 'recorded',
  variables: 'recorded',
  'operation ids': 'recorded',
  signUp: 'recorded',
  allSignUps: 'recorded',
  // Recorded as `login delayed`, with the limit of failed logins.
  'failed logins': 'counted',
  'queued logins': 'recorded',
  connect: 'recorded',
  send: 'recorded',
  call: 'recorded',
  signal: 'recorded',
  typing: 'recorded',
  read: 'recorded',
  'queued writes': 'counted',
  invitations: 'recorded',
  'verification mails': 'recorded',
  'e-mail changes': 'recorded',
  connections: 'recorded',
  'account connections': 'recorded',
  sessions: 'recorded',
  bytes: 'recorded',
  'upload size': 'counted',
  'upload rate': 'recorded',
  'upload quota': 'recorded',
  'concurrent uploads': 'recorded',
} as const satisfies Record<string, 'recorded' | 'counted'>;

export type LimitName = keyof typeof LIMITS;

/** The client that was refused, as far as it is known. */
export interface RefusedClient {
  readonly account?: ActorRef | undefined;
  readonly address?: string | undefined;
}

/** Reports to operators that a limit has refused something. */
export type ReportRefusal = (limit: LimitName, client?: RefusedClient) => void;

export interface RefusalsOptions {
  readonly count: (limit: LimitName) => void;
  readonly securityLog: SecurityLog;
}

export const createReportRefusal =
  ({ count, securityLog }: RefusalsOptions): ReportRefusal =>
  (limit, { account, address } = {}) => {
    count(limit);
    if (LIMITS[limit] === 'recorded')
      securityLog.record('limit reached', { account, address, detail: limit });
  };
