import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

const root = dirname(dirname(import.meta.dirname));

/** Files with a timer, each with its reason. */
const TIMERS: Readonly<Record<string, string>> = {
  'test/harness/waiting.ts': 'the only timers that tests wait for',
  'test/harness/postgres.ts': 'a deadline',
  'test/examples/program.ts': 'a deadline',
  'test/client/recovery.test.ts': 'observes the timer of a retry',
  'test/client/subscriptions.ts': 'a deadline',
  'test/db/pauses.test.ts': 'the timer is the subject',
  'test/services/typing-publisher.test.ts': 'fake timers',
  'test/tools/waiting.test.ts': 'names it',
};

test('tests wait for events: a timer stands in `test/harness/waiting.ts`, or is a deadline', () => {
  const files = globSync('test/**/*.ts', { cwd: root, exclude: ['**/node_modules/**'] });
  const withTimers = files.filter((file) => readFileSync(join(root, file), 'utf8').includes('setTimeout'));
  expect(withTimers.sort()).toEqual(Object.keys(TIMERS).sort());
});
