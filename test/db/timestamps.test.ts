import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../harness/database.ts';

const TIMESTAMPS = [
  '2026-11-26 04:47:06+00',
  '2026-11-26 04:47:06.4+00',
  '2026-11-26 04:47:06.04+00',
  '2026-11-26 04:47:06.442+00',
  '2026-11-26 04:47:06.442999+00',
];

test.for(['UTC', 'Asia/Kolkata', 'America/St_Johns'])(
  'timestamps are read as ISO 8601 by a session in %s',
  async (zone) => {
    const { db } = await openTestDatabase();
    const rows = await db.connection().execute(async (session) => {
      await sql`select set_config('TimeZone', ${zone}, false)`.execute(session);
      const result = await sql<{ input: string; output: string }>`
        select input, input::timestamptz as output from unnest(${TIMESTAMPS}::text[]) as input
      `.execute(session);
      await sql`reset timezone`.execute(session);
      return result.rows;
    });
    expect(rows).toEqual(
      TIMESTAMPS.map((input) => ({
        input,
        output: new Date(input.replace(' ', 'T').replace('+00', 'Z')).toISOString(),
      })),
    );
  },
);
