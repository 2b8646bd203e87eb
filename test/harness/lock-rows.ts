import pg from 'pg';

/** Locks rows in a session that is not one of a node, until it is disposed. */
export async function lockRows(url: string, statement: string) {
  const client = new pg.Client({ connectionString: url, application_name: 'psql' });
  await client.connect();
  await client.query('begin');
  await client.query(statement);
  let ended: Promise<void> | undefined;
  const release = () => (ended ??= client.end());
  return { release, [Symbol.asyncDispose]: release };
}
