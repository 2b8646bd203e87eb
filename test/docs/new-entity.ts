/** A change of one file: the text of a new file, or a function of the existing text. */
export type Change = string | ((text: string) => string);

const prepend = (line: string) => (text: string) => `${line}\n${text}`;
const append = (added: string) => (text: string) => `${text}\n${added}\n`;

/** Inserts text after the only match of a pattern. Throws if nothing matches. */
function insertAfter(pattern: RegExp, added: string) {
  return (text: string): string => {
    if (!pattern.test(text))
      throw new Error(`Nothing matches ${String(pattern)}: adapt test/docs/new-entity.ts.`);
    return text.replace(pattern, (match) => `${match}${added}`);
  };
}

const combine =
  (...changes: readonly ((text: string) => string)[]) =>
  (text: string): string =>
    changes.reduce((changed, change) => change(changed), text);

const MIGRATION = `
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

export const notes: Migration = {
  async up(db: Kysely<unknown>) {
    await sql\`create table notes (
      id int generated always as identity primary key,
      circle_id int not null references circles on delete cascade,
      text text not null,
      created_at timestamptz(3) not null default clock_timestamp()
    )\`.execute(db);
  },
};
`;

const QUERIES = `
import type { CircleId, NoteId } from '../ids.ts';
import { NOTE_COLUMNS } from './columns.ts';
import type { Db, Tx } from './database.ts';
import type { Note } from './tables.ts';

export async function insert(tx: Tx, note: { circleId: CircleId; text: string }): Promise<Note> {
  return tx.insertInto('notes').values(note).returning(NOTE_COLUMNS).executeTakeFirstOrThrow();
}

export async function findById(db: Db, id: NoteId): Promise<Note | undefined> {
  return db.selectFrom('notes').select(NOTE_COLUMNS).where('id', '=', id).executeTakeFirst();
}
`;

const RULES = `
import type { ActorRef } from '../actor.ts';
import * as notes from '../db/notes.ts';
import type { Note } from '../db/tables.ts';
import { notFound } from '../errors.ts';
import { circleTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { CircleId, NoteId } from '../ids.ts';
import { requireCircleAccess, requireMember } from './circle-access.ts';
import type { Deps } from './deps.ts';

export async function addNote(
  deps: Deps,
  actor: ActorRef,
  input: { readonly circleId: CircleId; readonly text: string },
): Promise<Note> {
  return transact(deps, async (unit) => {
    await unit.lock(circleTopic(input.circleId));
    await requireMember(unit.tx, actor, input.circleId);
    const note = await notes.insert(unit.tx, input);
    unit.emit({ type: 'note.added', note });
    return note;
  });
}

export async function requireNote(deps: Deps, actor: ActorRef, id: NoteId): Promise<Note> {
  const note = await notes.findById(deps.db, id);
  if (note === undefined) throw notFound('The note');
  await requireCircleAccess(deps.db, actor, note.circleId);
  return note;
}
`;

const TYPE = `
import { addNote, requireNote } from '../domain/notes.ts';
import { builder } from './builder.ts';
import { requireActor } from './context.ts';
import { requireId } from './global-id.ts';
import { Note } from './refs.ts';

Note.implement({
  description: 'A note in a circle.',
  fields: (t) => ({
    text: t.exposeString('text', { description: 'The text.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'The creation time.' }),
  }),
});

builder.queryFields((t) => ({
  note: t.field({
    type: Note,
    description: 'A note. Errors: NOT_FOUND.',
    args: { id: t.arg.id({ required: true, description: 'Global id of the note.' }) },
    resolve: (_root, { id }, context) =>
      requireNote(context.deps, requireActor(context), requireId('Note', 'id', id)),
  }),
}));

builder.mutationFields((t) => ({
  addNote: t.field({
    type: Note,
    description: 'Adds a note to a circle. Errors: NOT_FOUND.',
    args: {
      circleId: t.arg.id({ required: true, description: 'Global id of the circle.' }),
      text: t.arg.string({ required: true, description: 'The text.' }),
    },
    resolve: (_root, { circleId, text }, context) =>
      addNote(context.deps, requireActor(context), {
        circleId: requireId('Circle', 'circleId', circleId),
        text,
      }),
  }),
}));
`;

/** The changes that add the entity `Note`, by path. `NNNN` stands for the number of the next migration. */
export const NEW_ENTITY: Readonly<Record<string, Change>> = {
  'src/ids.ts': append("export type NoteId = Id<'Note'>;"),
  'src/db/tables/circles.ts': combine(
    prepend("import type { NoteId } from '../../ids.ts';"),
    append(
      'export interface NotesTable { id: GeneratedAlways<NoteId>; circleId: CircleId; text: string; createdAt: CreatedAt }',
    ),
  ),
  'src/db/tables.ts': combine(
    prepend("import type { NotesTable } from './tables/circles.ts';"),
    insertAfter(/^export interface Tables \{$/m, '\n  notes: NotesTable;'),
    append('export type Note = Selectable<NotesTable>;'),
  ),
  'src/db/migrations/NNNN-notes.ts': MIGRATION,
  'src/db/migrate.ts': combine(
    prepend("import { notes } from './migrations/NNNN-notes.ts';"),
    insertAfter(/^ {2}'\d{4}-[\w-]+': \w+,\n(?=\};)/m, "  'NNNN-notes': notes,\n"),
  ),
  'src/db/columns.ts': append(
    "export const NOTE_COLUMNS = ['notes.id', 'notes.circleId', 'notes.text', 'notes.createdAt'] as const;",
  ),
  'src/db/notes.ts': QUERIES,
  'src/events/event.ts': combine(
    prepend("import type { Note } from '../db/tables.ts';"),
    insertAfter(/^export type CircleEvent =$/m, "\n  | { readonly type: 'note.added'; readonly note: Note }"),
    insertAfter(
      /^export function topicOf[^]*?switch \(event\.type\) \{$/m,
      "\n    case 'note.added':\n      return circleTopic(event.note.circleId);",
    ),
    insertAfter(
      /^export function accessEndReason[^]*?switch \(event\.type\) \{$/m,
      "\n    case 'note.added':\n      return undefined;",
    ),
  ),
  'src/bridge/contract/event-frames.ts': insertAfter(
    /^export function framesOf\([^]*?switch \(event\.type\) \{$/m,
    "\n    case 'note.added':\n      return [];",
  ),
  'scripts/legacy-samples.ts': insertAfter(
    /^export const EVENT_SAMPLES[^]*?\} = \{$/m,
    "\n  'note.added': [],",
  ),
  'src/domain/models.ts': append("export type { Note } from '../db/tables.ts';"),
  'src/domain/notes.ts': RULES,
  'src/schema/refs.ts': combine(
    prepend("import type { Note as NoteRow } from '../domain/models.ts';"),
    insertAfter(
      /^export const Media = builder\.objectRef<MediaSource>\('Media'\);$/m,
      "\nexport const Note = builder.objectRef<NoteRow>('Note');",
    ),
  ),
  'src/schema/node-types.ts': combine(
    prepend("import { requireNote } from '../domain/notes.ts';"),
    prepend("import { Note } from './refs.ts';"),
    insertAfter(
      /^export const NODE_TYPES = \{$/m,
      "\n  Note: { ref: Note, label: 'The note', read: requireNote satisfies Reader<'Note'> },",
    ),
  ),
  'src/schema/note.ts': TYPE,
  'src/schema/index.ts': insertAfter(/^import '\.\/media\.ts';$/m, "\nimport './note.ts';"),
  'src/schema/event.ts': insertAfter(
    /^ {2}'circle\.updated': 'CircleUpdated',$/m,
    "\n  'note.added': 'NoteAdded',",
  ),
  'src/schema/circle-event.ts': combine(
    prepend("import { Note } from './refs.ts';"),
    insertAfter(
      /^const CircleUpdated = eventType\('circle\.updated'\);$/m,
      "\nconst NoteAdded = eventType('note.added');",
    ),
    insertAfter(/^const \w+ = \[\n(?= {2}CircleUpdated,$)/m, '  NoteAdded,\n'),
    insertAfter(/^function circleIdOf\(.*\{$/m, "\n  if ('note' in event) return event.note.circleId;"),
    append(`NoteAdded.implement({
      description: 'A note was added.',
      fields: (t) => ({
        note: t.field({ type: Note, description: 'The note.', resolve: ({ event }) => event.note }),
      }),
    });`),
  ),
};

/** A program for the changed copy. It adds a note, and prints it as a node and as an event. */
export const TRIAL_PROGRAM = `
import { createCircle, createGateway } from './src/testing/index.ts';

await using app = await createGateway();
const ann = await app.createAccount();
const circle = await createCircle(ann);
const query = 'subscription ($id: ID!) { circleEvents(circleId: $id) { __typename ... on NoteAdded { note { id text } } } }';
const events = ann.graphql.subscribe(query, { id: circle.id });
await events.nextOf('StreamLive');
const { addNote } = await ann.graphql.run(
  'mutation ($id: ID!) { addNote(circleId: $id, text: "Milk") { id } }',
  { id: circle.id },
);
const { node } = await ann.graphql.run('query ($id: ID!) { node(id: $id) { ... on Note { text } } }', addNote);
console.log(JSON.stringify({ node, event: await events.nextOf('NoteAdded') }));
process.exit();
`;
