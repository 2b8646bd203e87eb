import { sql } from 'kysely';
import { expect, inject, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { renewEpoch } from '../../src/db/epoch.ts';
import { createTopics } from '../../src/db/event-log.ts';
import { createLogger } from '../../src/log.ts';
import {
  createNode,
  createTestCore,
  cursorAt,
  emitEvents,
  openTopic,
  readNumbers,
  TOPIC,
} from '../harness/event-core.ts';
import type { Core } from '../harness/event-core.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { range } from '../harness/numbers.ts';
import { startPostgres } from '../harness/postgres.ts';

/** Takes the database back to the topic's first events, as a restore from a backup does. */
async function restore({ db }: Core, head: number): Promise<void> {
  await sql`delete from events where seq > ${head}`.execute(db);
  await sql`update topics set head = ${head} where topic = ${TOPIC}`.execute(db);
  await renewEpoch(db);
}

test('after a restore, readers of a running node end with CURSOR_INVALID, and so do their cursors', async () => {
  const core = await createTestCore();
  await core.tails.compare();
  await emitEvents(core, ...range(1, 20));
  const live = await openTopic(core);
  const detached = await openTopic(core);
  const behind = await openTopic(core, { after: cursorAt(core, 0) });
  expect(await readNumbers(live, 1)).toEqual(['live']);
  expect(await readNumbers(detached, 1)).toEqual(['live']);
  expect(await readNumbers(behind, 2)).toEqual([1, 2]);
  const tail = await core.tails.open(TOPIC);
  let gaps = 0;
  tail?.follow({ onGap: () => void (gaps += 1) });
  const formerCursor = cursorAt(core, 5);
  const next = live.next();
  const reader = detached.detach(() => undefined);

  await restore(core, 10);
  await core.tails.compare();
  await expect(next).rejects.toThrow(errorWithCode('CURSOR_INVALID'));
  reader?.reattach();
  await expect(detached.next()).rejects.toThrow(errorWithCode('CURSOR_INVALID'));
  await expect(behind.next()).rejects.toThrow(errorWithCode('CURSOR_INVALID'));
  await expect(openTopic(core, { after: formerCursor })).rejects.toThrow(errorWithCode('CURSOR_INVALID'));
  // Other followers continue at the restored head, and know that they have missed something.
  expect([gaps, tail?.deliveredSeq]).toEqual([1, 10]);
  tail?.close();

  const resumed = await openTopic(core, { after: cursorAt(core, 9) });
  expect(await readNumbers(resumed, 2)).toEqual([10, 'live']);
  await emitEvents(core, 11);
  expect(await readNumbers(resumed, 1)).toEqual([11]);
  await resumed.return();
  expect([...core.bus.topics()]).toEqual([]);
});

test('an epoch that is renewed while a node reads missed events leaves no former event behind', async () => {
  const core = await createTestCore();
  await core.tails.compare();
  const tail = await core.tails.open(TOPIC);
  await emitEvents({ ...core, bus: { ...core.bus, publish: () => undefined } }, ...range(1, 300));
  core.bus.receive({ kind: 'advanced', topic: TOPIC, seq: 300 });
  await restore(core, 3);
  await core.tails.compare();
  await expect.poll(() => tail?.deliveredSeq).toBe(3);
  expect(core.tails.lag()).toBe(0);
  tail?.close();
});

test.runIf(inject('database') === 'postgres')(
  'a node notices a restore to a state that is newer than its last comparison, from what it appended itself',
  async () => {
    await using server = await startPostgres();
    await using database = await openDatabase({ kind: 'postgres', url: server.url }, createLogger('silent'));
    const { db } = database;
    await db.transaction().execute((tx) => createTopics(tx, [TOPIC]));
    const openNode = () => createNode({ db, epoch: { current: database.epoch } });
    const [node, other] = [openNode(), openNode()];
    const restart = async (whileStopped?: () => void) => {
      await server.stop();
      whileStopped?.();
      await server.start();
      await expect.poll(() => sql`select 1`.execute(db).then(() => 'up', String)).toBe('up');
    };
    await emitEvents(node, 1);
    await node.tails.compare();
    await other.tails.compare();
    await emitEvents(node, 2);
    await restart(() => server.backUp());
    await node.tails.compare();
    expect(node.epoch.current).toBe(database.epoch);

    await emitEvents(node, 3);
    await restart(() => server.restore());
    // The log reaches the position of the lost event again.
    await emitEvents(other, 4, 5);
    await other.tails.compare();
    expect(other.epoch.current).toBe(database.epoch);
    await node.tails.compare();
    expect(node.epoch.current).not.toBe(database.epoch);
    await other.tails.compare();
    expect(other.epoch.current).toBe(node.epoch.current);

    const renewed = node.epoch.current;
    await restart();
    await node.tails.compare();
    expect(node.epoch.current).toBe(renewed);
  },
);
