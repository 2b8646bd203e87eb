import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = dirname(dirname(import.meta.dirname));
const lines = (...text: readonly string[]): string => `${text.join('\n')}\n`;

/** The rule that must report each file. */
const planted: Readonly<Record<string, { rule: string; code: string }>> = {
  'src/floating.ts': {
    rule: 'typescript(no-floating-promises)',
    code: lines('export async function run(): Promise<void> {', '  fetch("http://localhost");', '}'),
  },
  'src/floating-query.ts': {
    rule: 'typescript(no-floating-promises)',
    code: lines(
      "import type { Kysely } from 'kysely';",
      'export function run(db: Kysely<{ users: { id: number } }>): void {',
      "  db.selectFrom('users').selectAll().execute();",
      '}',
    ),
  },
  'src/misused.ts': {
    rule: 'typescript(no-misused-promises)',
    code: lines(
      'export function run(emitter: { on(name: string, listener: () => void): void }): void {',
      "  emitter.on('data', async () => {",
      '    await Promise.resolve();',
      '  });',
      '}',
    ),
  },
  'src/any.ts': { rule: 'typescript(no-explicit-any)', code: lines('export type Loose = { value: any };') },
  'src/bang.ts': {
    rule: 'typescript(no-non-null-assertion)',
    code: lines('export const first = (list: string[]): string => list[0]!;'),
  },
  'src/namespace.ts': {
    rule: 'typescript(no-namespace)',
    code: lines('export namespace Old {', '  export const value = 1;', '}'),
  },
  'src/parameter-property.ts': {
    rule: 'typescript(parameter-properties)',
    code: lines('export class Point {', '  constructor(readonly x: number) {}', '}'),
  },
  'src/default-export.ts': { rule: 'import(no-default-export)', code: lines('export default 1;') },
  'src/console.ts': { rule: 'eslint(no-console)', code: lines("console.log('hello');") },
  'src/environment.ts': {
    rule: 'node(no-process-env)',
    code: lines('export const home = process.env.HOME;'),
  },
  'src/elapsed.ts': {
    rule: 'eslint(no-restricted-properties)',
    code: lines('export const elapsed = (since: number): number => Date.now() - since;'),
  },
  'src/type-import.ts': {
    rule: 'typescript(consistent-type-imports)',
    code: lines("import { Server } from 'node:http';", 'export type Http = Server;'),
  },
  'src/cycle-one.ts': {
    rule: 'import(no-cycle)',
    code: lines("import type { Two } from './cycle-two.ts';", 'export type One = { two?: Two };'),
  },
  'src/cycle-two.ts': {
    rule: 'import(no-cycle)',
    code: lines("import type { One } from './cycle-one.ts';", 'export type Two = { one?: One };'),
  },
  'src/CamelCase.ts': { rule: 'unicorn(filename-case)', code: lines('export const value = 1;') },
  'src/switch.ts': {
    rule: 'typescript(switch-exhaustiveness-check)',
    code: lines(
      "export function run(kind: 'a' | 'b'): void {",
      '  switch (kind) {',
      "    case 'a':",
      '      return;',
      '  }',
      '}',
    ),
  },
  'src/throw.ts': { rule: 'typescript(only-throw-error)', code: lines("throw 'text';") },
  'src/unused.ts': { rule: 'eslint(no-unused-vars)', code: lines('const value = 1;', 'export {};') },
  'test/a/focused.test.ts': {
    rule: 'vitest(no-focused-tests)',
    code: lines("import { test } from 'vitest';", "test.only('alone', () => {});"),
  },
};

/** Files that the same rules must allow. */
const allowed: Readonly<Record<string, string>> = {
  'src/log.ts': lines("console.log('hello');"),
  'src/events/stream.ts': lines('export const at = new Date(Date.now()).toISOString();'),
  'src/config.ts': lines('export const home = process.env.HOME;'),
  'codegen.ts': lines('export default 1;'),
  'scripts/tool.ts': lines("console.log('hello', process.env.HOME);"),
  'src/page/vendor/old.js': lines('var unused = 1;'),
  'src/bridge/contract/operations.generated.ts': lines('export type Loose = any;'),
};

let folder: string;
let reports: readonly { code: string; filename: string }[];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-lint-'));
  for (const name of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) {
    copyFileSync(join(root, name), join(folder, name));
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const files = Object.entries(planted).map(([name, { code }]) => [name, code] as const);
  for (const [name, code] of [...files, ...Object.entries(allowed)]) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), code);
  }
  const oxlint = join(root, 'node_modules', '.bin', 'oxlint');
  const { stdout } = spawnSync(oxlint, ['--type-aware', '--format', 'json'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const output = JSON.parse(stdout) as { diagnostics: { code: string; filename: string }[] };
  reports = output.diagnostics;
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

test.for(Object.entries(planted))('%s is reported', ([name, { rule }]) => {
  const rules = reports.filter(({ filename }) => filename.endsWith(name)).map(({ code }) => code);
  expect(rules).toContain(rule);
});

test.for(Object.keys(allowed))('%s is allowed', (name) => {
  expect(reports.filter(({ filename }) => filename.endsWith(name))).toEqual([]);
});

test('the current time is read only by `Date.now()`, which the rule covers', () => {
  const files = globSync('src/**/*.{ts,js}', { cwd: root, exclude: ['src/page/vendor/**'] });
  expect(files.length).toBeGreaterThan(150);
  const hidden = files.filter((file) =>
    /new Date\(\)|\bDate\(\)|[^.]process\.hrtime/.test(readFileSync(join(root, file), 'utf8')),
  );
  expect(hidden).toEqual([]);
});

test('an enum does not compile', () => {
  writeFileSync(join(folder, 'src', 'enum.ts'), lines('export enum Kind {', '  A,', '}'));
  const tsc = join(root, 'node_modules', '.bin', 'tsc');
  const { stdout, status } = spawnSync(tsc, ['--noEmit'], { cwd: folder, encoding: 'utf8' });
  expect(stdout).toContain("This syntax is not allowed when 'erasableSyntaxOnly' is enabled.");
  expect(stdout).toContain('src/enum.ts');
  expect(status).not.toBe(0);
});
