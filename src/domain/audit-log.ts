import * as rows from '../db/audit-log.ts';
import type { AuditEntry } from '../db/audit-log.ts';
import { DomainError, isOutage } from '../errors.ts';
import type { AuditEntryId } from '../ids.ts';
import type { Deps } from './deps.ts';

export type { AuditEntry } from '../db/audit-log.ts';

/** The operator of an action. All share one token, so that only the origin of the request is known. */
export interface Operator {
  readonly address: string;
  /** The node that received the request. */
  readonly nodeId: string;
  readonly nodeName: string | null;
}

/** A mutation with its arguments. */
export interface Action {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** Longest text of an argument in the log. */
const MAX_TEXT_LENGTH = 1_000;

/**
 * Runs an action of an operator. It is recorded before it runs, and does not run if that fails; its outcome is added when it
 * has ended.
 */
export async function runAudited<Result>(
  deps: Deps,
  operator: Operator,
  { name, arguments: { reason, ...others } }: Action,
  run: () => Promise<Result>,
): Promise<Result> {
  const id = await rows.insert(deps.db, {
    action: name,
    arguments: Object.fromEntries(Object.entries(others).map(([key, value]) => [key, cut(value)])),
    reason: typeof reason === 'string' ? storable(reason) : null,
    ...operator,
  });
  const end = async (outcome: string): Promise<void> => {
    deps.securityLog.record('operator action', { address: operator.address, detail: `${name} ${outcome}` });
    await rows.setOutcome(deps.db, id, outcome).catch((error: unknown) => {
      deps.log.error({ err: error, action: name, outcome }, 'the outcome of an action was not recorded');
    });
  };
  try {
    const result = await run();
    await end('OK');
    return result;
  } catch (error) {
    await end(outcomeOf(error));
    throw error;
  }
}

const cut = (value: unknown): unknown => (typeof value === 'string' ? storable(value) : value);

/** PostgreSQL stores neither NUL nor lone surrogates. */
const storable = (text: string): string =>
  text.slice(0, MAX_TEXT_LENGTH).toWellFormed().replaceAll('\0', '\ufffd');

function outcomeOf(error: unknown): string {
  if (error instanceof DomainError) return error.code;
  return isOutage(error) ? 'UNAVAILABLE' : 'INTERNAL';
}

/** Returns the newest entries of the audit log, or the newest before one, and whether there are older ones. */
export async function readAuditLog(
  { db }: Deps,
  { before, size }: { readonly before: AuditEntryId | undefined; readonly size: number },
): Promise<{ readonly entries: readonly AuditEntry[]; readonly hasMore: boolean }> {
  const found = await rows.findNewest(db, { before, limit: size + 1 });
  return { entries: found.slice(0, size), hasMore: found.length > size };
}
