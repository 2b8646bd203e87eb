import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHANNELS } from '../../src/bridge/contract/channels.ts';
import type { Database } from '../../src/db/database.ts';
import { NODE_TYPES } from '../../src/schema/node-types.ts';
import { schema } from '../../src/schema/index.ts';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';
import { startS3 } from '../harness/s3.ts';
import type { S3Server } from '../harness/s3.ts';
import { readDigests } from '../harness/table-digests.ts';
import { ACTOR_NAMES, WITHOUT_SESSION } from './actors.ts';
import type { ActorName } from './actors.ts';
import { AUTH_SECRET, MARKER, createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { SECTIONS } from './rows.ts';
import type { Row } from './rows.ts';
import { runCell } from './run.ts';

let database: Database;
let s3: S3Server;
let app: TestGateway;
let folderApp: TestGateway;
let fixture: Fixture;
let adminClient: AsyncDisposable;

beforeAll(async () => {
  database = await openTestDatabase();
  s3 = await startS3();
  app = await startTestApp({ database, env: { AUTH_SECRET, ...s3.env } });
  folderApp = await startTestApp({ database, env: { AUTH_SECRET } });
  fixture = await createFixture(app, folderApp);
  adminClient = await fixture.connectAdmin();
});

afterAll(async () => {
  await adminClient[Symbol.asyncDispose]();
  await folderApp[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
  await s3[Symbol.asyncDispose]();
});

const isDestructive = ({ operation }: Row): boolean =>
  'isDestructive' in operation && operation.isDestructive;
const titleOf = ({ name, variant }: Row): string => (variant === undefined ? name : `${name}: ${variant}`);

/** Runs a cell over each of its transports, and expects the outcome and, without access, nothing of the objects. */
async function expectOutcome(row: Row, actor: ActorName, target = fixture): Promise<void> {
  const expected = row.outcomes[actor];
  const results = Object.entries(await runCell(target, row, actor));
  expect(results.map(([transport, { outcome }]) => `${actor} ${transport} ${outcome}`)).toEqual(
    results.map(([transport]) => {
      // A bad token ends a WebSocket, even if the operation requires none.
      const isRejected =
        transport === 'websocket' && actor !== 'anonymous' && WITHOUT_SESSION.includes(actor);
      return `${actor} ${transport} ${isRejected ? 'UNAUTHENTICATED' : expected}`;
    }),
  );
  if (expected === 'yes') return;
  for (const [, { text }] of results) expect(text.includes(MARKER), 'the response shows a name').toBe(false);
  if ((expected !== 'NOT_FOUND' && expected !== 'absent') || row.revealsExistence === true) return;
  const unknown = await runCell(target, row, actor, true);
  for (const [transport, { text }] of results)
    expect(`${actor} ${transport} ${unknown[transport]?.text}`).toBe(`${actor} ${transport} ${text}`);
}

describe.for(Object.values(SECTIONS))('$title', ({ rows }) => {
  test.for(rows.map((row) => [titleOf(row), row] as const))('%s', { timeout: 600_000 }, async ([, row]) => {
    const [allowed, denied] = [
      ACTOR_NAMES.filter((actor) => row.outcomes[actor] === 'yes'),
      ACTOR_NAMES.filter((actor) => row.outcomes[actor] !== 'yes'),
    ];
    const digests = await readDigests(database.db);
    await Promise.all(denied.map((actor) => expectOutcome(row, actor)));
    expect(await readDigests(database.db), 'an operation that was denied has changed data').toEqual(digests);
    for (const actor of allowed)
      await expectOutcome(row, actor, isDestructive(row) ? await createFixture(app, folderApp) : fixture);
  });
});

const namesOf = ({ rows }: { readonly rows: readonly Row[] }): string[] => [
  ...new Set(rows.map(({ name }) => name)),
];

const fieldsOf = (type: string): string[] => {
  const found = schema.getType(type);
  return found !== undefined && 'getFields' in found ? Object.keys(found.getFields()) : [];
};

test('every query, mutation and subscription has rows', () => {
  expect(namesOf(SECTIONS.queries).sort()).toEqual(fieldsOf('Query').sort());
  expect(namesOf(SECTIONS.mutations).sort()).toEqual(fieldsOf('Mutation').sort());
  expect(namesOf(SECTIONS.subscriptions).sort()).toEqual(fieldsOf('Subscription').sort());
});

test('every type of a node has a row', () => {
  const variants = SECTIONS.queries.rows.flatMap(({ name, variant = '' }) =>
    name === 'node' ? [variant] : [],
  );
  expect(variants.sort()).toEqual(Object.keys(NODE_TYPES).sort());
});

test('every field that depends on its caller has a row', () => {
  const marked = Object.values(schema.getTypeMap()).flatMap((type) =>
    'getFields' in type && 'getInterfaces' in type
      ? Object.values(type.getFields())
          .filter(({ extensions }) => extensions['perActor'] === true)
          .map(({ name }) => `${type.name}.${name}`)
      : [],
  );
  expect(namesOf(SECTIONS.fields).sort()).toEqual(marked.sort());
});

test('every legacy channel has a row', () => {
  expect(namesOf(SECTIONS.channels).sort()).toEqual(CHANNELS.map(({ name }) => name).sort());
});
