import { sql } from 'kysely';
import { expect, inject, test } from 'vitest';
import { createEventLog, createTopics } from '../../src/db/event-log.ts';
import type { LogSnapshot } from '../../src/db/log-changes.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import { conversationTopic } from '../../src/events/event.ts';
import type { ConversationId } from '../../src/ids.ts';
import { createNumberedEvent, createTestCore, emitEvents, TOPIC } from '../harness/event-core.ts';
import type { Core } from '../harness/event-core.ts';

const OTHER_ID = 2 as ConversationId;
const OTHER_TOPIC = conversationTopic(OTHER_ID);

/** Returns a function that reads the changes since its previous call. */
function followChanges({ db }: Core) {
  let snapshot: LogSnapshot | undefined;
  return async (): Promise<Readonly<Record<string, number>>> => {
    const changes = await createEventLog(db).readChanges(snapshot);
    snapshot = changes.snapshot;
    return Object.fromEntries(changes.heads);
  };
}

test('each change is found once, by the comparison after its commit', async () => {
  const core = await createTestCore();
  await emitEvents(core, 1);
  const readChanges = followChanges(core);
  expect(await readChanges()).toEqual({});
  expect(await readChanges()).toEqual({});
  await emitEvents(core, 2, 3);
  await emitEvents(core, 4);
  expect(await readChanges()).toEqual({ [TOPIC]: 4 });
  expect(await readChanges()).toEqual({});
});

test.runIf(inject('database') === 'postgres')(
  'a transaction that runs during several comparisons is found after its commit',
  async () => {
    const core = await createTestCore();
    await core.db.transaction().execute((tx) => createTopics(tx, [OTHER_TOPIC]));
    const readChanges = followChanges(core);
    await readChanges();
    const appended = Promise.withResolvers<void>();
    const committed = Promise.withResolvers<void>();
    const slow = core.db.transaction().execute(async (tx) => {
      await sql`update topics set head = 1 where topic = ${OTHER_TOPIC}`.execute(tx);
      await sql`insert into events (topic, seq, event, at) values (${OTHER_TOPIC}, 1, '{}', now())`.execute(
        tx,
      );
      appended.resolve();
      await committed.promise;
    });
    await appended.promise;
    await emitEvents(core, 1);
    expect(await readChanges()).toEqual({ [TOPIC]: 1 });
    await emitEvents(core, 2);
    expect(await readChanges()).toEqual({ [TOPIC]: 2 });
    committed.resolve();
    await slow;
    expect(await readChanges()).toEqual({ [OTHER_TOPIC]: 1 });
    expect(await readChanges()).toEqual({});
  },
);

test('a snapshot of another server, or of its former start, yields a new one', async () => {
  const core = await createTestCore();
  const log = createEventLog(core.db);
  const { snapshot } = await log.readChanges(undefined);
  await transact(core, async (unit) => unit.emit(createNumberedEvent(1)));
  const { heads, ...changes } = await log.readChanges({ ...snapshot, server: '2020-01-01 00:00:00+00' });
  expect([...heads]).toEqual([]);
  expect(changes.snapshot.server).toBe(snapshot.server);
});
