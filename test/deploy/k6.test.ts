import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildSchema, parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { ROOT } from '../harness/program.ts';
import { DEPLOY, readSample } from './samples.ts';

const SCRIPT = join(DEPLOY, 'k6', 'parley.js');

test('the k6 script uses what k6 has', () => {
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const options = [
    '--noEmit',
    '--ignoreConfig',
    '--allowJs',
    '--checkJs',
    '--types',
    'k6',
    '--target',
    'es2024',
  ];
  const { stdout, status } = spawnSync(
    process.execPath,
    [
      tsc,
      ...options,
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
      '--lib',
      'es2024',
      '--strict',
      '--noImplicitAny',
      'false',
      SCRIPT,
    ],
    { encoding: 'utf8', cwd: ROOT },
  );
  expect([stdout, status]).toEqual(['', 0]);
});

test('the operations of the k6 script are valid', () => {
  const schema = buildSchema(readFileSync(join(ROOT, 'schema.graphql'), 'utf8'));
  const operations = Array.from(
    readSample('k6/parley.js').matchAll(/\/\* GraphQL \*\/ `([^`]*)`/g),
    ([, text = '']) => text,
  );
  expect(operations).toHaveLength(5);
  for (const operation of operations) expect(validate(schema, parse(operation))).toEqual([]);
});

test('the k6 script runs against a gateway', { timeout: 120_000 }, async () => {
  await using app = await startTestApp();
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(import.meta.dirname, 'k6-modules.ts'),
    app.url,
    // Subscribers close after 17 s: enough to log in and send on a busy machine.
    '-3',
  ]);
  const metrics = JSON.parse(stdout) as Record<string, unknown[]>;
  // Six messages in two conversations, each with two of the four subscribers.
  expect(metrics['delivery_ms']).toHaveLength(12);
  expect(metrics).toMatchObject({
    live_subscriptions: [true, true, true, true],
    stream_errors: [],
    reconnects: [],
  });
  expect(new Set(metrics['checks'])).toEqual(new Set([true]));
});
