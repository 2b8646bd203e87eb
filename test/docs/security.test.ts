import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { VARIABLES } from '../../src/config-variables.ts';
import { ERROR_CODES } from '../../src/errors.ts';
import { createGateway, createGraphqlClient } from '../../src/testing/index.ts';
import type { TestGateway } from '../../src/testing/index.ts';
import { openTestDatabase } from '../harness/database.ts';
import { PROGRAM_ENV, ROOT, startProgram } from '../harness/program.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

const text = await readProjectFile('SECURITY.md');
const [SECRET_COMMAND = ''] = findCodeBlocks(text, 'sh');

/** Returns the anchors of a document's headings, as GitHub creates them. */
const listAnchors = (document: string): string[] =>
  Array.from(document.matchAll(/^#+ (.+)$/gm), ([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );

test('every file, test and heading that SECURITY.md names exists', () => {
  const links = Array.from(text.matchAll(/\]\((?!http)([^)]+)\)/g), ([, link = '']) => link);
  expect(links.length).toBeGreaterThan(4);
  for (const link of links) {
    const [file = '', anchor] = link.split('#');
    const content = readFileSync(join(ROOT, file), 'utf8');
    if (anchor !== undefined) expect(listAnchors(content), link).toContain(anchor);
  }
  const paths = Array.from(text.matchAll(/`((?:src|test|docs)\/[\w./-]+)`/g), ([, path = '']) => path);
  expect(paths.length).toBeGreaterThan(15);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

test('every setting and error code that SECURITY.md names exists', () => {
  const names = Array.from(text.matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=\w+)?`/g), ([, name = '']) => name);
  expect(new Set(names).size).toBeGreaterThan(10);
  expect(names.filter((name) => !(name in VARIABLES || name in ERROR_CODES))).toEqual([]);
});

async function createSecret(): Promise<string> {
  await using program = startProgram(['sh', '-c', SECRET_COMMAND], {
    ...PROGRAM_ENV,
    PATH: `${join(ROOT, 'node_modules/.bin')}:${PROGRAM_ENV.PATH}`,
  });
  await program.exited;
  return program.printed.stdout.trim();
}

const isAccepted = async ({ url }: TestGateway, token: string): Promise<boolean> => {
  await using client = createGraphqlClient(url, token);
  return (await client.send('{ me { __typename } }')).status === 200;
};

test('a secret is replaced by the steps of SECURITY.md without logging anyone out', async () => {
  const [former, next] = [await createSecret(), await createSecret()];
  expect([former.length, next.length]).toEqual([43, 43]);
  const database = await openTestDatabase();
  const start = (AUTH_SECRET: string) => createGateway({ database, env: { AUTH_SECRET } });
  const tokens: string[] = [];
  for (const secrets of [former, `${former},${next}`, `${next},${former}`]) {
    await using gateway = await start(secrets);
    tokens.push((await gateway.createAccount()).token);
    for (const token of tokens) expect(await isAccepted(gateway, token)).toBe(true);
  }
  // A node that has not been restarted yet accepts the tokens of one that has.
  {
    await using gateway = await start(`${former},${next}`);
    for (const token of tokens) expect(await isAccepted(gateway, token)).toBe(true);
  }
  await using gateway = await start(next);
  const accepted = await Promise.all(tokens.map((token) => isAccepted(gateway, token)));
  expect(accepted).toEqual([false, false, true]);
});
