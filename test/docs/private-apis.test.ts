import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readProjectFile } from './snippets.ts';

// docs/private-apis.md lists the inspected version of each package whose private members are used.

const ROOT = join(import.meta.dirname, '../..');

const rows = (await readProjectFile('docs/private-apis.md'))
  .split('\n')
  .filter((line) => /^\| `[^`]+` +\| \d+\.\d+\.\d+ /.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()));

test('the page lists packages', () => {
  expect(rows.length).toBeGreaterThan(5);
});

test.for(rows)(
  'the inspected version of %s %s %s is pinned and installed',
  async ([, name = '', version]) => {
    const packageName = name.replaceAll('`', '');
    const { dependencies } = JSON.parse(await readProjectFile('package.json')) as {
      dependencies: Record<string, string>;
    };
    expect(dependencies[packageName]).toBe(version);
    const installed = JSON.parse(await readProjectFile(`node_modules/${packageName}/package.json`)) as {
      version: string;
    };
    expect(installed.version, `Inspect its members and update docs/private-apis.md: ${packageName}.`).toBe(
      version,
    );
  },
);

test.for(rows)('the module and tests of %s %s exist', async ([, , , module = '', check = '', tests = '']) => {
  const readPaths = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path);
  for (const path of [...readPaths(module), ...readPaths(tests)])
    expect(existsSync(join(ROOT, path)), path).toBe(true);
  for (const name of readPaths(check))
    expect(await readProjectFile(readPaths(module)[0] ?? '')).toContain(`function ${name}(`);
});
