import { beforeAll } from 'vitest';
import { openTestDatabase } from './database.ts';

// Opening an embedded database takes seconds on a busy machine. This must not count towards the first test's timeout.
beforeAll(async () => {
  await openTestDatabase();
});
