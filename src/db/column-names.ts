import { CamelCasePlugin } from 'kysely';
import type { PluginTransformResultArgs, QueryResult, UnknownRow } from 'kysely';

/** Converts names between `camelCase` here and `snake_case` in the database. JSON values keep their keys. */
export class ColumnNames extends CamelCasePlugin {
  constructor() {
    super({ maintainNestedObjectKeys: true });
  }

  /** As the plugin of Kysely, which converts the names of every row. */
  override async transformResult({ result }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    const [first] = result.rows;
    if (first === undefined) return result;
    const columns = Object.keys(first);
    const names = columns.map((column) => this.camelCase(column));
    if (names.every((name, index) => name === columns[index])) return result;
    const rename = (row: UnknownRow): UnknownRow => {
      const renamed: UnknownRow = {};
      let index = 0;
      for (const column of columns) renamed[names[index++] ?? column] = row[column];
      return renamed;
    };
    return { ...result, rows: result.rows.map(rename) };
  }
}
