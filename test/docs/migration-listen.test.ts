import { expect, test } from 'vitest';
import type { ReceiveQueue } from '../../src/testing/receive-queue.ts';
import type { LegacyClient } from '../../src/testing/index.ts';
import { preparations, actions, openMembersFixture } from './migration-actions.ts';
import type { MembersFixture } from './migration-actions.ts';
import { createMatcher, readPage } from './migration-page.ts';
import type { Operation, Section } from './migration-page.ts';
import { openFixture, subscribe } from './migration-fixtures.ts';
import type { Data } from './migration-fixtures.ts';
import { runSnippet } from './snippets.ts';

// Runs the sections of docs/migration.md on received channels. After each action, Bob must receive on both APIs what the
// page documents.

const IDS = { conversation: 'Conversation:12', circle: 'Circle:3' };

const page = await readPage();
const sections = page.filter(({ part }) => part === 'What you listen to');
const findSection = (title: string) => sections.find((section) => section.title === title);
const tables = sections.flatMap((section) =>
  section.operations
    .filter(({ rows }) => rows.length > 0)
    .map((operation) => [section.title, operation.rows[0]?.action ?? '', section, operation] as const),
);

/** Runs the legacy code of a section for Bob, and opens its subscription. */
async function listen(fixture: MembersFixture, section: Section, { query, rows }: Operation) {
  const legacyClient = await fixture.connectLegacy(fixture.bob);
  await legacyClient.push('join_circle', { circle_id: 3 });
  await legacyClient.push('join_conversation', { conversation_id: 12 });
  const calls: unknown[][] = [];
  const show = (...values: unknown[]) => calls.push(values);
  await runSnippet(section.scripts[0] ?? '', fixture.app.url, { socket: legacyClient.socket, show });

  const connection = await fixture.connectGraphql(fixture.bob);
  const declared = Object.entries(IDS).filter(([name]) => query.includes(`$${name}:`));
  const events = subscribe(connection, query, Object.fromEntries(declared));
  // Ephemeral streams send no first event. A later request completes after they are open.
  if (query.includes('cursor')) await events.next((event) => event['__typename'] === 'StreamLive');
  else
    await connection.run('{ circles { nodes { conversations { nodes { messages { nodes { id } } } } } } }');
  if (query.includes('presence')) await events.next();
  expect(rows).not.toEqual([]);
  return { legacyClient, events, calls };
}

/** Runs the action of each row of a table, and returns what was received by action. */
async function runRows(
  fixture: MembersFixture,
  channel: string,
  operation: Operation,
  { legacyClient, events }: { legacyClient: LegacyClient; events: ReceiveQueue<Data> },
) {
  const receivedByAction: Record<string, { frame: unknown; event: unknown }> = {};
  for (const { action, frame, event } of operation.rows) {
    const run = actions[action];
    if (run === undefined) throw new Error(`No action is defined for “${action}”.`);
    await run(fixture);
    const received = { action, frame: await legacyClient.expect(channel), event: await events.next() };
    expect(received).toEqual({ action, frame: createMatcher(frame), event: createMatcher(event) });
    receivedByAction[action] = received;
  }
  expect(legacyClient.pending().filter((frame) => frame.channel === channel)).toEqual([]);
  expect(events.pending()).toEqual([]);
  return receivedByAction;
}

// The first test of a worker opens the database.
test.for(tables)(
  '%s is received as documented, from “%s” on',
  { timeout: 60_000 },
  async ([title, first, section, operation]) => {
    await using fixture = await openMembersFixture();
    await preparations[first]?.(fixture);
    const listener = await listen(fixture, section, operation);
    const receivedByAction = await runRows(fixture, title.replaceAll('`', ''), operation, listener);
    expect(listener.calls).toHaveLength(operation.rows.length);
    for (const values of listener.calls) expect(values).not.toContain(undefined);

    for (const [frame, event] of section.cells.filter((cells) => cells.length === 2)) {
      if (frame === undefined || event === undefined || frame === 'frame') continue;
      const last = receivedByAction['an upload, the last'];
      const value = readPath(last?.event, event);
      expect(value).not.toBe(undefined);
      expect({ [frame]: convertValue(readPath(last?.frame, frame)) }).toEqual({ [frame]: value });
    }
  },
);

/** Returns the value at a path such as `media_list.0.id`. */
const readPath = (value: unknown, path: string): unknown =>
  path
    .replaceAll('`', '')
    .split('.')
    .reduce<unknown>((inner, key) => (inner as Data | undefined)?.[key], value);

/** Converts a value of a legacy frame as the page documents. */
function convertValue(value: unknown): unknown {
  if (value === 'True' || value === 'False') return value === 'True';
  if (value === 'done' || value === 'pending') return value.toUpperCase();
  const [, date, milliseconds = '.000'] =
    /^(\d{4}-\d\d-\d\dT[\d:]+)(?:(\.\d{3})000)?$/.exec(String(value)) ?? [];
  return date === undefined ? value : `${date}${milliseconds}Z`;
}

test.for([
  ['`success`', 'authenticate', undefined],
  ['`error`', 'join_conversation', {}],
  ['`media`', 'message', { conversation_id: 12, files: ['cake.png'] }],
  ['`webrtc_config`', 'webrtc_credentials', {}],
] as const)('%s is received by the legacy code as documented', async ([title, channel, payload]) => {
  await using fixture = await openFixture();
  const legacyClient = await fixture.connectLegacy(fixture.bob);
  const calls: unknown[][] = [];
  const show = (...values: unknown[]) => calls.push(values);
  await runSnippet(findSection(title)?.scripts[0] ?? '', fixture.app.url, {
    socket: legacyClient.socket,
    show,
  });
  await legacyClient.emitWithAck(channel, payload ?? { token: fixture.bob.token });
  expect(calls).toHaveLength(1);
  expect(calls[0]).not.toContain(undefined);
});

test('a rejected operation has the documented errors', async () => {
  await using fixture = await openFixture();
  const { run } = await fixture.connectGraphql(fixture.ann);
  const [operation] = findSection('`error`')?.operations ?? [];
  const result = run(operation?.query ?? '', operation?.variables).catch((errors: unknown) => ({ errors }));
  expect(await result).toEqual(createMatcher(operation?.results[0]));
});

test('the ids in the table name the same objects', async () => {
  await using fixture = await openMembersFixture();
  for (const name of ['sendMessage, without files', 'sendMessage, two files to come'])
    await (preparations[name] ?? actions[name])?.(fixture);
  const rows = page.find(({ title }) => title === 'Ids and dates')?.cells.slice(1) ?? [];
  expect(rows.length).toBe(8);
  const { run } = await fixture.connectGraphql(fixture.ann);
  for (const [legacyId = '', id = ''] of rows) {
    const number = Number(/\d+/.exec(legacyId)?.[0]);
    const global = id.replaceAll('`', '');
    if (global.startsWith('CircleInvitation')) continue;
    const query = `{ node(id: "${global}") { id ... on ${global.split(':')[0]} { legacyId } } }`;
    expect(await run(query)).toEqual({ node: { id: global, legacyId: number } });
  }
});
