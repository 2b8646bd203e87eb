// Holds locks as a node does: node test/harness/lock-holder.ts <url> <statement>. Runs the statement in a transaction, prints
// `locked`, and stays in the transaction.
import { sql } from 'kysely';
import { openDatabase } from '../../src/db/database.ts';
import { createLogger } from '../../src/log.ts';

const [url = '', statement = ''] = process.argv.slice(2);
const { db } = await openDatabase({ kind: 'postgres', url }, createLogger('silent'));
await db.transaction().execute(async (tx) => {
  await sql.raw(statement).execute(tx);
  process.stdout.write('locked\n');
  await new Promise(() => undefined);
});
