import type { PostgresPoolClient } from 'kysely';
import type { Tracing } from '../tracing.ts';

type Query = (text: string, parameters: readonly unknown[]) => Promise<unknown>;

const MAX_TEXT_LENGTH = 2_000;
/** The write of a statement, which may be in a `with` clause. */
const WRITE = /\b(insert) into "?(\w+)|\b(update) "?(\w+)"? (?:as \w+ )?set\b|\b(delete) from "?(\w+)/i;
const READ = /^\s*(\w+)(?:[^]*?\bfrom "?(\w+))?/;

/** Returns the operation of a statement, and the table that it is about; undefined without one. */
export function describeStatement(text: string): {
  readonly operation: string;
  readonly table: string | undefined;
} {
  const match = WRITE.exec(text) ?? READ.exec(text) ?? [];
  const [, verb = 'sql', table] = match.filter((part) => part !== undefined);
  return { operation: verb.toUpperCase(), table };
}

/** Returns a query function that records statements in spans: their texts, which have no values, and no parameters. */
export function traceQueries(
  tracing: Tracing,
  query: PostgresPoolClient['query'],
): PostgresPoolClient['query'] {
  const run = query as unknown as Query;
  const traced: Query = async (text, parameters) => {
    if (!tracing.isActive) return run(text, parameters);
    const { operation, table } = describeStatement(text);
    const attributes = {
      'db.system.name': 'postgresql',
      'db.operation.name': operation,
      'db.query.text': text.slice(0, MAX_TEXT_LENGTH),
      ...(table !== undefined && { 'db.collection.name': table }),
    };
    const name = table === undefined ? operation : `${operation} ${table}`;
    return tracing.run(name, { kind: 'client', attributes }, () => run(text, parameters));
  };
  return traced as unknown as PostgresPoolClient['query'];
}
