import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { readRange } from '../../src/db/event-log.ts';
import { trimTopics } from '../../src/db/log-trims.ts';
import { createTestCore, emitEvents, TOPIC } from '../harness/event-core.ts';
import { range } from '../harness/numbers.ts';

test('a topic is trimmed to its newest events, in batches, once it has many new ones', async () => {
  const { db, ...core } = await createTestCore();
  await emitEvents({ db, ...core }, ...range(1, 15));
  expect(await trimTopics(db, 5)).toBe(0);
  await emitEvents({ db, ...core }, ...range(16, 80));
  const trimmed = [];
  while ((await trimTopics(db, 5, 1)) > 0) trimmed.push((await readRange(db, TOPIC))?.trimmed);
  expect(trimmed).toEqual([32, 64, 75, 75, 75, 75, 75]);
  expect(await readRange(db, TOPIC)).toEqual({ head: 80, trimmed: 75 });
  expect((await sql`select from log_trims`.execute(db)).rows).toEqual([]);
});

test('notes of deleted topics, and of topics with few events, are removed', async () => {
  const { db, ...core } = await createTestCore();
  await emitEvents({ db, ...core }, ...range(1, 16));
  await sql`insert into log_trims (topic) values ('conversation:99')`.execute(db);
  expect(await trimTopics(db, 100)).toBe(2);
  expect(await trimTopics(db, 100)).toBe(0);
  expect(await readRange(db, TOPIC)).toEqual({ head: 16, trimmed: 0 });
});
