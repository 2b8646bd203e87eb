import { test } from 'vitest';
import { expectWhatComesNext } from './outages.ts';

test.for(['apollo-client-4'])(
  '%s with stock settings gets what comes next, after SIGTERM and after kill -9',
  { timeout: 120_000 },
  async (client) => {
    await expectWhatComesNext(`${client}/stock.ts`);
  },
);
