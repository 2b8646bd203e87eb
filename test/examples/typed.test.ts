import { beforeAll, test } from 'vitest';
import { generate } from './generate.ts';
import { expectEachOnce, OUTAGES_TIMEOUT_MS } from './outages.ts';

beforeAll(() => generate('codegen'));

test.for(['codegen'])(
  'typed by %s, each event comes once, over stops and kills of the server',
  { timeout: OUTAGES_TIMEOUT_MS },
  async (folder) => {
    await expectEachOnce(`${folder}/listen.ts`);
  },
);
