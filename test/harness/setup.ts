import { beforeAll } from 'vitest';
import { testDatabase } from './database.ts';

// Opening an embedded database takes seconds on a busy machine: that is no part of the first test's time.
beforeAll(async () => {
  await testDatabase();
});
