import { globSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import config from '../../vitest.config.ts';
import { LONGEST } from '../harness/longest-first-sequencer.ts';

const root = dirname(dirname(import.meta.dirname));

/** Returns the patterns without alternatives: one for each name in braces. */
function expandBraces(pattern: string): string[] {
  const [, before = '', names, after = ''] = /^(.*)\{(.*)\}(.*)$/.exec(pattern) ?? [];
  return names === undefined
    ? [pattern]
    : names.split(',').flatMap((name) => expandBraces(before + name + after));
}

test('every test file that a list names exists', () => {
  const includes = (config.test?.projects ?? []).flatMap((project) =>
    typeof project === 'object' && 'test' in project ? (project.test?.include ?? []) : [],
  );
  expect(includes.length).toBeGreaterThan(10);
  const patterns = [...LONGEST, ...includes.flatMap(expandBraces)];
  expect(patterns.filter((pattern) => globSync(pattern, { cwd: root }).length === 0)).toEqual([]);
});
