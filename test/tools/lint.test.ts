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
const joinLines = (...text: readonly string[]): string => `${text.join('\n')}\n`;

/** Files that a rule must report. */
const plantedFiles: Readonly<Record<string, { rule: string; code: string }>> = {
  'src/floating.ts': {
    rule: 'typescript(no-floating-promises)',
    code: joinLines('export async function run(): Promise<void> {', '  fetch("http://localhost");', '}'),
  },
  'src/floating-query.ts': {
    rule: 'typescript(no-floating-promises)',
    code: joinLines(
      "import type { Kysely } from 'kysely';",
      'export function run(db: Kysely<{ users: { id: number } }>): void {',
      "  db.selectFrom('users').selectAll().execute();",
      '}',
    ),
  },
  'src/misused.ts': {
    rule: 'typescript(no-misused-promises)',
    code: joinLines(
      'export function run(emitter: { on(name: string, listener: () => void): void }): void {',
      "  emitter.on('data', async () => {",
      '    await Promise.resolve();',
      '  });',
      '}',
    ),
  },
  'src/any.ts': {
    rule: 'typescript(no-explicit-any)',
    code: joinLines('export type Loose = { value: any };'),
  },
  'src/bang.ts': {
    rule: 'typescript(no-non-null-assertion)',
    code: joinLines('export const first = (list: string[]): string => list[0]!;'),
  },
  'src/namespace.ts': {
    rule: 'typescript(no-namespace)',
    code: joinLines('export namespace Old {', '  export const value = 1;', '}'),
  },
  'src/parameter-property.ts': {
    rule: 'typescript(parameter-properties)',
    code: joinLines('export class Point {', '  constructor(readonly x: number) {}', '}'),
  },
  'src/default-export.ts': { rule: 'import(no-default-export)', code: joinLines('export default 1;') },
  'src/console.ts': { rule: 'eslint(no-console)', code: joinLines("console.log('hello');") },
  'src/environment.ts': {
    rule: 'node(no-process-env)',
    code: joinLines('export const home = process.env.HOME;'),
  },
  'src/elapsed.ts': {
    rule: 'eslint(no-restricted-properties)',
    code: joinLines('export const elapsed = (since: number): number => Date.now() - since;'),
  },
  'src/type-import.ts': {
    rule: 'typescript(consistent-type-imports)',
    code: joinLines("import { Server } from 'node:http';", 'export type Http = Server;'),
  },
  'src/cycle-one.ts': {
    rule: 'import(no-cycle)',
    code: joinLines("import type { Two } from './cycle-two.ts';", 'export type One = { two?: Two };'),
  },
  'src/cycle-two.ts': {
    rule: 'import(no-cycle)',
    code: joinLines("import type { One } from './cycle-one.ts';", 'export type Two = { one?: One };'),
  },
  'src/CamelCase.ts': { rule: 'unicorn(filename-case)', code: joinLines('export const value = 1;') },
  'src/switch.ts': {
    rule: 'typescript(switch-exhaustiveness-check)',
    code: joinLines(
      "export function run(kind: 'a' | 'b'): void {",
      '  switch (kind) {',
      "    case 'a':",
      '      return;',
      '  }',
      '}',
    ),
  },
  'src/throw.ts': { rule: 'typescript(only-throw-error)', code: joinLines("throw 'text';") },
  'src/unused.ts': { rule: 'eslint(no-unused-vars)', code: joinLines('const value = 1;', 'export {};') },
  'test/a/focused.test.ts': {
    rule: 'vitest(no-focused-tests)',
    code: joinLines("import { test } from 'vitest';", "test.only('alone', () => {});"),
  },
};

/** Files that the same rules must allow. */
const allowedFiles: Readonly<Record<string, string>> = {
  'src/log.ts': joinLines("console.log('hello');"),
  'src/events/stream-reader.ts': joinLines('export const at = new Date(Date.now()).toISOString();'),
  'src/config.ts': joinLines('export const home = process.env.HOME;'),
  'codegen.ts': joinLines('export default 1;'),
  'scripts/tool.ts': joinLines("console.log('hello', process.env.HOME);"),
  'src/page/vendor/old.js': joinLines('var unused = 1;'),
  'src/bridge/contract/operations.generated.ts': joinLines('export type Loose = any;'),
};

let folder: string;
let reports: readonly { code: string; filename: string }[];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-lint-'));
  for (const name of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) {
    copyFileSync(join(root, name), join(folder, name));
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const files = Object.entries(plantedFiles).map(([name, { code }]) => [name, code] as const);
  for (const [name, code] of [...files, ...Object.entries(allowedFiles)]) {
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

test.for(Object.entries(plantedFiles))('%s is reported', ([name, { rule }]) => {
  const rules = reports.filter(({ filename }) => filename.endsWith(name)).map(({ code }) => code);
  expect(rules).toContain(rule);
});

test.for(Object.keys(allowedFiles))('%s is allowed', (name) => {
  expect(reports.filter(({ filename }) => filename.endsWith(name))).toEqual([]);
});

test('the current time is read only by `Date.now()`, which the rule covers', () => {
  const files = globSync('src/**/*.{ts,js}', { cwd: root, exclude: ['src/page/vendor/**'] });
  expect(files.length).toBeGreaterThan(150);
  const offenders = files.filter((file) =>
    /new Date\(\)|\bDate\(\)|[^.]process\.hrtime/.test(readFileSync(join(root, file), 'utf8')),
  );
  expect(offenders).toEqual([]);
});

test('an enum does not compile', () => {
  writeFileSync(join(folder, 'src', 'enum.ts'), joinLines('export enum Kind {', '  A,', '}'));
  const tsc = join(root, 'node_modules', '.bin', 'tsc');
  const { stdout, status } = spawnSync(tsc, ['--noEmit'], { cwd: folder, encoding: 'utf8' });
  expect(stdout).toContain("This syntax is not allowed when 'erasableSyntaxOnly' is enabled.");
  expect(stdout).toContain('src/enum.ts');
  expect(status).not.toBe(0);
});
