import type { CompiledQuery } from 'kysely';
import type { Db } from './database.ts';

/** A query builder, or a statement of the `sql` tag. */
interface Statement<Row> {
  compile(db: Db): CompiledQuery<Row>;
}

/** Stands for an argument while its statement is compiled. */
class Placeholder {
  readonly index: number;

  constructor(index: number) {
    this.index = index;
  }
}

/**
 * Returns a function that runs a statement and returns its rows. The statement is built and compiled by the first call,
 * because that takes longer than sending it. `build` receives placeholders instead of arguments: it may pass them to the
 * statement as parameters, and do nothing else with them.
 */
export function compileOnce<Args extends readonly unknown[], Row>(
  build: (db: Db, ...args: Args) => Statement<Row>,
): (db: Db, ...args: Args) => Promise<Row[]> {
  let compiled: CompiledQuery<Row> | undefined;
  return async (db, ...args) => {
    compiled ??= build(db, ...(args.map((_arg, index) => new Placeholder(index)) as unknown as Args)).compile(
      db,
    );
    const { rows } = await db.executeQuery<Row>({
      ...compiled,
      parameters: compiled.parameters.map((parameter) =>
        parameter instanceof Placeholder ? args[parameter.index] : parameter,
      ),
    });
    return rows;
  };
}
