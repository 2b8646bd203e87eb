import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findWords, listFiles } from './words.ts';
import type { Exemption, Word } from './words.ts';

const root = dirname(dirname(import.meta.dirname));

/** Banned words with their replacements: only words that are wrong in every context. */
const WORDS: readonly Word[] = [
  { pattern: /\bmoments?\b/, use: 'timestamp, time' },
  { pattern: /\bwho(?:so)?ever\b|\bsomebody\b/, use: 'client, caller, subscriber, reader' },
  { pattern: /\bnobody\b/, use: 'no one, no client, no listener' },
  { pattern: /\bby (?:itself|themselves)\b/, use: 'on its own, automatically, per connection' },
  { pattern: /\bat once\b/, use: 'immediately, concurrently' },
  { pattern: /\bunder way\b/, use: 'in flight, in progress' },
  { pattern: /\b(?:go|goes|going|gone|went) wrong\b/, use: 'fails, throws' },
  { pattern: /\b(?:go|goes|going|gone|went) on\b/, use: 'continues, stays' },
  { pattern: /\b(?:is|are|was|were|has|have|had|been|be) gone\b/, use: 'deleted, disconnected, missing' },
  { pattern: /\b(?:is|are|was|were) away\b/, use: 'unavailable' },
  { pattern: /\b(?:let|lets|letting) go\b/, use: 'drops, releases, discards' },
  { pattern: /\banew\b/, use: 'again, replays, regenerates' },
  { pattern: /\b(?:kept|keeps|keep) waiting\b/, use: 'queued, delayed, pending' },
  { pattern: /\bold (?:clients?|apps?)\b/, use: 'legacy client' },
  { pattern: /\bdoors?\b/, use: 'transport, API' },
  { pattern: /\b(?:hear|hears|heard|hearing)\b/, use: 'receives' },
  { pattern: /\bmend(?:s|ed|ing)?\b/, use: 'fixes, works around' },
  { pattern: /\bcuts? off\b|\bcutting off\b/, use: 'disconnects, truncates, aborts' },
  { pattern: /\b(?:told|tell|tells|telling) of\b/, use: 'notifies, sends' },
  { pattern: /\bfor ever\b/, use: 'permanently, never expires' },
];

const FOLDERS = [
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'CODE_OF_CONDUCT.md',
  'CONTRIBUTING.md',
  'README.md',
  'SECURITY.md',
  'bench',
  'chaos',
  'codegen.ts',
  'deploy',
  'docs',
  'examples',
  'schema.graphql',
  'admin.graphql',
  'scripts',
  'src',
  'test',
  'vitest.config.ts',
];

const EXEMPTIONS: readonly Exemption[] = [
  { file: 'test/schema/descriptions.test.ts', found: 'whoever', reason: 'the word that it looks for' },
  { file: 'test/harness/postgres.ts', found: 'nobody', reason: 'the name of a system user' },
  {
    file: 'docs/decisions/0022-standard-vocabulary.md',
    found: 'old client',
    reason: 'quotes the former vocabulary',
  },
];

const format = ({ file, line, found, advice }: ReturnType<typeof findWords>[number]): string =>
  `${file}:${line}: "${found}": ${advice}`;

test.for(FOLDERS)('%s is written in standard terms', (folder) => {
  const files = listFiles(root, [folder]);
  expect(files).not.toEqual([]);
  expect(findWords(root, files, WORDS, EXEMPTIONS).map(format)).toEqual([]);
});

test('every exemption is needed', () => {
  const findings = findWords(
    root,
    EXEMPTIONS.map(({ file }) => file),
    WORDS,
    [],
  );
  const unused = EXEMPTIONS.filter(
    (one) => !findings.some(({ file, found }) => file === one.file && found === one.found),
  );
  expect(unused).toEqual([]);
});

let plantedFolder: string;

beforeAll(() => {
  plantedFolder = mkdtempSync(join(tmpdir(), 'parley-words-'));
  mkdirSync(join(plantedFolder, 'src'));
  const write = (name: string, ...lines: readonly string[]) =>
    writeFileSync(join(plantedFolder, name), `${lines.join('\n')}\n`);
  write(
    'src/planted.ts',
    '// A comment of',
    '// two lines.',
    '/** What is left. */',
    "export const whoever = 'moment';",
    '/**',
    ' * Returns the rest, at',
    ' * once.',
    ' */',
    "export const run = () => { deps.log.warn({ moment: 'now' }, `the other ${name} is away`); };",
    "export const refuse = () => { throw notFound('The door'); };",
    "export const fail = () => { throw new RangeError('Nobody asked.'); };",
    "test.for([1])('a test %i goes on', () => {});",
  );
  write('src/planted.md', '# A title', '```', 'moment', '```', 'Let `moment` go,', 'let go.');
  write('src/planted.graphql', 'type Query {', '  """A moment."""', '  moment: Int', '}');
});

afterAll(() => {
  rmSync(plantedFolder, { recursive: true });
});

test('banned words are found in comments, messages, test titles, descriptions and documents, not in code', () => {
  const findings = findWords(plantedFolder, listFiles(plantedFolder, ['src']), WORDS, []);
  expect(findings.map(({ file, line, found }) => `${file}:${line} ${found}`)).toEqual([
    'src/planted.graphql:2 moment',
    'src/planted.md:6 let go',
    'src/planted.ts:3 What',
    'src/planted.ts:6 at once',
    'src/planted.ts:9 is away',
    'src/planted.ts:10 door',
    'src/planted.ts:11 nobody',
    'src/planted.ts:12 goes on',
  ]);
});

test('an exempt word is not reported in its file', () => {
  const exemption = { file: 'src/planted.md', found: 'let go', reason: 'a quotation' };
  expect(findWords(plantedFolder, ['src/planted.md'], WORDS, [exemption])).toEqual([]);
});
