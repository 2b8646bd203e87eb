import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

const root = dirname(dirname(import.meta.dirname));

/** Files with a timer, each with its reason. */
const TIMERS: Readonly<Record<string, string>> = {
  'test/harness/waiting.ts': 'the only timers that tests wait for',
  'test/harness/postgres.ts': 'a deadline',
  'test/gateway/tus.test.ts': 'calls the timer of a deadline',
  'test/deploy/k6-modules.ts': 'passes the timers of Node to the k6 script',
  'test/examples/program.ts': 'a deadline',
  'test/client/recovery.test.ts': 'observes the timer of a retry',
  'test/client/subscriptions.ts': 'a deadline',
  'test/db/event-loop.test.ts': 'the timer is the subject',
  'test/lib/fair-queue.test.ts': 'fake timers',
  'test/lib/spread.test.ts': 'fake timers',
  'test/services/typing-publisher.test.ts': 'fake timers',
  'test/tools/waiting.test.ts': 'names it',
};

test('tests wait for events: timers are in `test/harness/waiting.ts`, or are deadlines', () => {
  const files = globSync('test/**/*.ts', { cwd: root, exclude: ['**/node_modules/**'] });
  const filesWithTimers = files.filter((file) =>
    readFileSync(join(root, file), 'utf8').includes('setTimeout'),
  );
  expect(filesWithTimers.sort()).toEqual(Object.keys(TIMERS).sort());
});
