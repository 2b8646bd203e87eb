import type { Operator } from '../domain/audit-log.ts';
import type { Deps } from '../domain/deps.ts';

/** The context of the operators' resolvers: one per request. */
export interface AdminContext {
  readonly deps: Deps;
  readonly operator: Operator;
}
