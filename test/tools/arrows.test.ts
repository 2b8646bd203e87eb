import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { checkImports } from '../../scripts/arrows.ts';

type Files = Readonly<Record<string, string>>;

/** A small project without violations. */
const cleanProject: Files = {
  'errors.ts': 'export class DomainError extends Error {}',
  'ids.ts': "import { randomUUID } from 'node:crypto'; export const id = randomUUID;",
  'db/database.ts':
    "import pg from 'pg'; import { sql } from 'kysely'; import '../ids.ts'; export const db = [pg, sql];",
  'db/migrations/0001-initial.ts':
    "import type { Migration } from 'kysely/migration'; export type M = Migration;",
  'events/bus.ts': "import { db } from '../db/database.ts'; export const bus = db;",
  'events/event.ts': 'export type Event = string;',
  'actor.ts': "import type { id } from './ids.ts'; export type Actor = typeof id;",
  'lib/text.ts': "import '../errors.ts'; export const text = '';",
  'services/tokens.ts':
    "import '../events/bus.ts'; import { text } from '../lib/text.ts'; export const token = text;",
  'domain/messages.ts': "import '../services/tokens.ts'; export type { Event } from '../events/event.ts';",
  'schema/context.ts':
    "import type { GraphQLSchema } from 'graphql'; export type Context = GraphQLSchema; export const c = 1;",
  'schema/index.ts': "import * as messages from '../domain/messages.ts'; export const schema = messages;",
  'admin/index.ts':
    "import { c } from '../schema/context.ts'; import '../domain/messages.ts'; export const a = c;",
  'gateway/execution/executor.ts':
    "import { createYoga } from 'graphql-yoga'; import type { Event } from '../../domain/messages.ts'; export type E = Event; export type Executor = 1; export const e = createYoga;",
  'gateway/websocket/server.ts':
    "import 'ws'; import 'node:http'; import { schema } from '../../schema/index.ts'; export { schema };",
  'bridge/server.ts': [
    "import { Server } from 'socket.io';",
    "import { type Executor } from '../gateway/execution/executor.ts';",
    "import type { Actor } from '../actor.ts';",
    "import { bus } from '../events/bus.ts';",
    'export type S = [Server, Executor, Actor]; export { bus };',
  ].join('\n'),
  'app.ts':
    "import './bridge/server.ts'; import './db/database.ts'; import './page/page.ts'; export const app = 1;",
  'page/page.ts': 'export const page = 1;',
  'page/vendor/old.js': "require('../../program.ts');",
  'program.ts': "import { app } from './app.ts'; void app;",
  'testing/index.ts': "import 'socket.io-client'; import 'ws'; export { app } from '../app.ts';",
};

/** A planted import, its file, and the expected report. */
const plantedImports: Readonly<Record<string, { file: string; code: string; report: RegExp }>> = {
  'db imports events': {
    file: 'db/a.ts',
    code: "import '../events/bus.ts';",
    report: /db may not import events/,
  },
  'db imports graphql': { file: 'db/a.ts', code: "import 'graphql';", report: /graphql is not for db/ },
  'events imports domain': {
    file: 'events/a.ts',
    code: "import type { Event } from '../domain/messages.ts';",
    report: /events may not import domain/,
  },
  'events imports Kysely': {
    file: 'events/a.ts',
    code: "import type { Kysely } from 'kysely';",
    report: /kysely is for db/,
  },
  'domain imports schema': {
    file: 'domain/a.ts',
    code: "export * from '../schema/index.ts';",
    report: /domain may not import schema/,
  },
  'domain imports pothos': {
    file: 'domain/a.ts',
    code: "import '@pothos/core';",
    report: /@pothos\/core is not for domain/,
  },
  'domain imports HTTP': {
    file: 'domain/a.ts',
    code: "import 'node:http';",
    report: /node:http is for gateway/,
  },
  'schema imports db': {
    file: 'schema/a.ts',
    code: "import '../db/database.ts';",
    report: /schema may not import db/,
  },
  'schema imports the types of socket.io': {
    file: 'schema/a.ts',
    code: "import type { Server } from 'socket.io';",
    report: /socket\.io is for bridge/,
  },
  'admin imports the gateway': {
    file: 'admin/a.ts',
    code: "import type { Executor } from '../gateway/execution/executor.ts';",
    report: /admin may not import gateway/,
  },
  'the schema of clients imports admin': {
    file: 'schema/a.ts',
    code: "import '../admin/index.ts';",
    report: /schema may not import admin/,
  },
  'gateway imports the bridge': {
    file: 'gateway/a.ts',
    code: "import '../bridge/server.ts';",
    report: /gateway may not import bridge/,
  },
  'gateway imports values of the domain': {
    file: 'gateway/a.ts',
    code: "import { messages } from '../domain/messages.ts';",
    report: /gateway may use only the types of domain\/messages\.ts/,
  },
  'gateway imports pglite': {
    file: 'gateway/a.ts',
    code: "const p = await import('@electric-sql/pglite/node-postgres'); void p;",
    report: /@electric-sql\/pglite\/node-postgres is for db/,
  },
  'bridge imports a resolver': {
    file: 'bridge/a.ts',
    code: "import type { schema } from '../schema/index.ts';",
    report: /bridge may not import schema/,
  },
  'bridge imports domain by a type expression': {
    file: 'bridge/a.ts',
    code: "export type A = import('../domain/messages.ts').Event;",
    report: /bridge may not import domain/,
  },
  'bridge imports values of the executor': {
    file: 'bridge/a.ts',
    code: "import { e, type Executor } from '../gateway/execution/executor.ts';",
    report: /only the types of gateway\/execution\/executor\.ts/,
  },
  'bridge imports the context': {
    file: 'bridge/a.ts',
    code: "import type { Context } from '../schema/context.ts';",
    report: /bridge may not import schema/,
  },
  'lib imports another zone': {
    file: 'lib/a.ts',
    code: "import '../events/bus.ts';",
    report: /lib may not import events/,
  },
  'services import a rule': {
    file: 'services/a.ts',
    code: "import type { Event } from '../domain/messages.ts';",
    report: /services may not import domain/,
  },
  'services imports ws': { file: 'services/a.ts', code: "import 'ws';", report: /ws is for bridge, gateway/ },
  'gateway imports socket.io-client': {
    file: 'gateway/a.ts',
    code: "import 'socket.io-client';",
    report: /socket\.io-client is for testing/,
  },
  'gateway imports engine.io': {
    file: 'gateway/a.ts',
    code: "import 'engine.io';",
    report: /engine\.io is for bridge/,
  },
  'a leaf imports a layer': { file: 'log.ts', code: "import './lib/text.ts';", report: /log\.ts is a leaf/ },
  'a leaf imports graphql': {
    file: 'log.ts',
    code: "import 'graphql';",
    report: /graphql is not for log\.ts/,
  },
  'gateway imports the app': {
    file: 'gateway/a.ts',
    code: "import { app } from '../app.ts'; void app;",
    report: /gateway may not import app\.ts/,
  },
  'testing imports the program': {
    file: 'testing/a.ts',
    code: "import '../program.ts';",
    report: /testing may not import program\.ts/,
  },
  'src imports test': { file: 'app.ts', code: "import '../test/a.ts';", report: /nothing outside src/ },
  'a file is missing': { file: 'db/a.ts', code: "import './gone.ts';", report: /\.\/gone\.ts is not a file/ },
  'a new folder has no row': { file: 'extras/a.ts', code: 'export {};', report: /extras has no row/ },
  'a cycle of types in one folder': {
    file: 'events/event.ts',
    code: "import type { Event as E } from '../events/event-log.ts'; export type Event = E;",
    report: /import cycle: events\/event\.ts > events\/event-log\.ts > events\/event\.ts/,
  },
};

/** Files that planted imports refer to. */
const companionFiles: Files = {
  'events/event-log.ts': "export type Event = import('./event.ts').Event;",
  '../test/a.ts': 'export {};',
};

function checkProject(files: Files, minModules: number): ReturnType<typeof checkImports> {
  const root = mkdtempSync(join(tmpdir(), 'parley-arrows-'));
  try {
    mkdirSync(join(root, 'src'));
    for (const [name, code] of Object.entries(files)) {
      const path = join(root, 'src', name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, code);
    }
    return checkImports(root, minModules);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('a project without violations passes, and every module is read', () => {
  const { modules, imports, violations } = checkProject(cleanProject, 1);
  expect(violations).toEqual([]);
  expect(modules).toBe(Object.keys(cleanProject).length - 1);
  expect(imports).toBe(32);
});

test.for(Object.entries(plantedImports))('%s is reported', ([, { file, code, report }]) => {
  const { violations } = checkProject({ ...cleanProject, ...companionFiles, [file]: code }, 1);
  expect(violations.map(({ message }) => message)).toEqual([expect.stringMatching(report)]);
  expect(violations[0]?.file).toMatch(/^src\//);
});

test('a check that finds too few modules fails', () => {
  const { violations } = checkProject({ 'app.ts': 'export {};' }, 2);
  expect(violations.map(({ message }) => message)).toEqual(['only 1 modules seen, at least 2 expected']);
});

test('an import whose specifier is not a literal is rejected', () => {
  expect(() => checkProject({ 'app.ts': 'const name = process.argv[2]; await import(name);' }, 1)).toThrow(
    'specifier is not a literal',
  );
});
