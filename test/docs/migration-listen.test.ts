import { expect, test } from 'vitest';
import type { ReceiveQueue } from '../../src/testing/receive-queue.ts';
import type { LegacyClient } from '../../src/testing/index.ts';
import { given, happenings, openCast } from './migration-actions.ts';
import type { Cast } from './migration-actions.ts';
import { meant, readPage } from './migration-page.ts';
import type { Operation, Section } from './migration-page.ts';
import { openStage, subscribe } from './migration-fixtures.ts';
import type { Data } from './migration-fixtures.ts';
import { execute } from './snippets.ts';

// Runs the sections of docs/migration.md on received channels: for each action, Bob receives on both APIs what is written.

const IDS = { conversation: 'Conversation:12', circle: 'Circle:3' };

const page = await readPage();
const sections = page.filter(({ part }) => part === 'What you listen to');
const sectionOf = (title: string) => sections.find((section) => section.title === title);
const tables = sections.flatMap((section) =>
  section.operations
    .filter(({ rows }) => rows.length > 0)
    .map((operation) => [section.title, operation.rows[0]?.by ?? '', section, operation] as const),
);

/** Bob as on the page: the legacy code listens, and a subscription is live. */
async function listen(cast: Cast, section: Section, { query, rows }: Operation) {
  const old = await cast.old(cast.bob);
  await old.push('join_circle', { circle_id: 3 });
  await old.push('join_conversation', { conversation_id: 12 });
  const shown: unknown[][] = [];
  const show = (...values: unknown[]) => shown.push(values);
  await execute(section.scripts[0] ?? '', cast.app.url, { socket: old.socket, show });

  const modern = await cast.modern(cast.bob);
  const declared = Object.entries(IDS).filter(([name]) => query.includes(`$${name}:`));
  const events = subscribe(modern, query, Object.fromEntries(declared));
  // Ephemeral streams send no first event: a later request is answered after they are open.
  if (query.includes('cursor')) await events.next((event) => event['__typename'] === 'StreamLive');
  else await modern.run('{ circles { nodes { conversations { nodes { messages { nodes { id } } } } } } }');
  if (query.includes('presence')) await events.next();
  expect(rows).not.toEqual([]);
  return { old, events, shown };
}

/** Runs each row of a table, and returns what was received. */
async function perform(
  cast: Cast,
  channel: string,
  operation: Operation,
  { old, events }: { old: LegacyClient; events: ReceiveQueue<Data> },
) {
  const heard: Record<string, { frame: unknown; event: unknown }> = {};
  for (const { by, frame, event } of operation.rows) {
    const happening = happenings[by];
    if (happening === undefined) throw new Error(`No action is defined for “${by}”.`);
    await happening(cast);
    const told = { by, frame: await old.expect(channel), event: await events.next() };
    expect(told).toEqual({ by, frame: meant(frame), event: meant(event) });
    heard[by] = told;
  }
  expect(old.pending().filter((frame) => frame.channel === channel)).toEqual([]);
  expect(events.pending()).toEqual([]);
  return heard;
}

// The first test of a worker opens the database.
test.for(tables)(
  '%s is received as written, from “%s” on',
  { timeout: 60_000 },
  async ([title, first, section, operation]) => {
    await using cast = await openCast();
    await given[first]?.(cast);
    const bob = await listen(cast, section, operation);
    const heard = await perform(cast, title.replaceAll('`', ''), operation, bob);
    expect(bob.shown).toHaveLength(operation.rows.length);
    for (const values of bob.shown) expect(values).not.toContain(undefined);

    for (const [frame, event] of section.cells.filter((cells) => cells.length === 2)) {
      if (frame === undefined || event === undefined || frame === 'frame') continue;
      const last = heard['an upload, the last'];
      const value = at(last?.event, event);
      expect(value).not.toBe(undefined);
      expect({ [frame]: converted(at(last?.frame, frame)) }).toEqual({ [frame]: value });
    }
  },
);

/** Returns the value at a path such as `media_list.0.id`. */
const at = (value: unknown, path: string): unknown =>
  path
    .replaceAll('`', '')
    .split('.')
    .reduce<unknown>((inner, key) => (inner as Data | undefined)?.[key], value);

/** Converts a value of a legacy frame as the page documents. */
function converted(value: unknown): unknown {
  if (value === 'True' || value === 'False') return value === 'True';
  if (value === 'done' || value === 'pending') return value.toUpperCase();
  const [, date] = /^(\d{4}-\d\d-\d\dT[\d:]+\.\d{3})000$/.exec(String(value)) ?? [];
  return date === undefined ? value : `${date}Z`;
}

test.for([
  ['`success`', 'authenticate', undefined],
  ['`error`', 'join_conversation', {}],
  ['`media`', 'message', { conversation_id: 12, files: ['cake.png'] }],
  ['`webrtc_config`', 'webrtc_credentials', {}],
] as const)('%s is received by the legacy code as written', async ([title, channel, payload]) => {
  await using stage = await openStage();
  const old = await stage.old(stage.bob);
  const shown: unknown[][] = [];
  const show = (...values: unknown[]) => shown.push(values);
  await execute(sectionOf(title)?.scripts[0] ?? '', stage.app.url, { socket: old.socket, show });
  await old.emitWithAck(channel, payload ?? { token: stage.bob.token });
  expect(shown).toHaveLength(1);
  expect(shown[0]).not.toContain(undefined);
});

test('a refused operation has the documented errors', async () => {
  await using stage = await openStage();
  const { run } = await stage.modern(stage.ann);
  const [operation] = sectionOf('`error`')?.operations ?? [];
  const refused = run(operation?.query ?? '', operation?.variables).catch((errors: unknown) => ({ errors }));
  expect(await refused).toEqual(meant(operation?.answers[0]));
});

test('the ids in the table name the same objects', async () => {
  await using cast = await openCast();
  for (const name of ['sendMessage, without files', 'sendMessage, two files to come'])
    await (given[name] ?? happenings[name])?.(cast);
  const rows = page.find(({ title }) => title === 'Ids and dates')?.cells.slice(1) ?? [];
  expect(rows.length).toBe(8);
  const { run } = await cast.modern(cast.ann);
  for (const [old = '', id = ''] of rows) {
    const number = Number(/\d+/.exec(old)?.[0]);
    const global = id.replaceAll('`', '');
    if (global.startsWith('CircleInvitation')) continue;
    const query = `{ node(id: "${global}") { id ... on ${global.split(':')[0]} { legacyId } } }`;
    expect(await run(query)).toEqual({ node: { id: global, legacyId: number } });
  }
});
