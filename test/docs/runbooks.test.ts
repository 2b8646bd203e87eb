import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { buildSchema, parse, validate } from 'graphql';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../harness/database.ts';
import { startLoggedApp } from '../harness/logged-app.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

const page = await readProjectFile('docs/operations/runbooks.md');
const sections = page.split(/^## /m).slice(1);

test('every alert has a run book, in the same order, and links to it', async () => {
  const rules = await readProjectFile('deploy/prometheus/alerts.yml');
  const alerts = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name = '']) => name);
  expect(sections.map((section) => section.split('\n')[0])).toEqual(alerts);
  const links = [...rules.matchAll(/runbook_url: (.+)$/gm)].map(([, link]) => link);
  expect(links).toEqual(alerts.map((name) => `docs/operations/runbooks.md#${name.toLowerCase()}`));
});

test('every run book has commands that confirm the alert, and says when to escalate', () => {
  for (const section of sections) {
    const [name] = section.split('\n');
    expect(findCodeBlocks(section, 'sh'), name).toHaveLength(1);
    expect(section.split('\n\nEscalate: '), name).toHaveLength(2);
  }
});

test('the commands of the run books are valid, and name what exists', async () => {
  const blocks = findCodeBlocks(page, 'sh').join('\n');
  expect(spawnSync('bash', ['-n'], { input: blocks, encoding: 'utf8' })).toMatchObject({
    status: 0,
    stderr: '',
  });

  const { db } = await openTestDatabase();
  const statements = [...blocks.matchAll(/^query (["'])(.*?)\1/gm)].map(([, , statement = '']) => statement);
  expect(statements.length).toBeGreaterThan(10);
  for (const statement of statements) await sql.raw(statement).execute(db);

  const sources = await Promise.all(globSync('src/**/*.ts').map((path) => readProjectFile(path)));
  for (const [, field = '', text = ''] of blocks.matchAll(/\.(msg|event|reason) == "([^"]+)"/g))
    expect(sources.join(), field).toContain(`'${text}'`);
});

test('the operations of the run books are valid in the schema of operators', async () => {
  const schema = buildSchema(await readProjectFile('admin.graphql'));
  const operations = [...page.matchAll(/^admin '(.*?)'$/gm)].map(([, operation = '']) => operation);
  expect(operations.length).toBeGreaterThan(2);
  for (const operation of operations) expect(validate(schema, parse(operation)), operation).toEqual([]);
});

test('the metrics of the run books and of sizing exist', async () => {
  const text = page + (await readProjectFile('docs/operations/sizing.md'));
  await using app = await startLoggedApp();
  const metrics = await app.metrics();
  for (const [name] of text.matchAll(/\b(?:parley|nodejs|process)_\w+/g)) expect(metrics).toContain(name);
});
