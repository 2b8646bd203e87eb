import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { generate } from './generate.ts';

test.for(['.', 'chat-react-apollo', 'chat-react-urql'])(
  'examples/%s compiles under strict TypeScript',
  { timeout: 120_000 },
  async (folder) => {
    if (folder === '.') await generate('codegen', 'gql-tada', 'relay', 'urql');
    else if (folder === 'chat-react-urql') await generate(folder);
    const { stdout, status } = spawnSync('node_modules/.bin/tsc', ['--project', `examples/${folder}`], {
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  },
);

test('the copied example has the possible types of the schema', () => {
  const read = (path: string): string => readFileSync(`examples/${path}`, 'utf8');
  expect(read('chat-react-apollo/src/possible-types.json')).toBe(read('possible-types.json'));
});
