// Holds the lock of a topic: node test/harness/lock-holder.ts <url> <topic>. Prints `locked`, and stays in the transaction.
import { openDatabase } from '../../src/db/database.ts';
import { lockTopics } from '../../src/db/event-log.ts';
import { createLogger } from '../../src/log.ts';

const [url = '', topic = ''] = process.argv.slice(2);
const { db } = await openDatabase({ kind: 'postgres', url }, createLogger('silent'));
await db.transaction().execute(async (tx) => {
  await lockTopics(tx, [topic]);
  process.stdout.write('locked\n');
  await new Promise(() => undefined);
});
