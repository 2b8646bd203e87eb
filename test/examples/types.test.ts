import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { generate } from './generate.ts';

test('the examples compile under strict TypeScript', { timeout: 120_000 }, async () => {
  await generate('codegen', 'gql-tada', 'relay', 'urql');
  const { stdout, status } = spawnSync('node_modules/.bin/tsc', ['--project', 'examples'], {
    encoding: 'utf8',
  });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});
