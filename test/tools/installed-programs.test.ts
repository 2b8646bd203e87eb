import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = dirname(dirname(import.meta.dirname));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-programs-'));
  for (const name of [
    'package.json',
    'vitest.config.ts',
    'test/embedded-setup.ts',
    'test/postgres-setup.ts',
    'test/harness',
  ]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  for (const name of ['node_modules', 'src']) symlinkSync(join(root, name), join(folder, name));
  mkdirSync(join(folder, 'test', 'tools'));
  writeFileSync(
    join(folder, 'test', 'tools', 'planted.test.ts'),
    [
      "import { describe, expect, test } from 'vitest';",
      "import { isMissing } from '../harness/installed-programs.ts';",
      "describe.skipIf(isMissing('turnserver'))('calls', () => {",
      "  test('are relayed', () => { expect(1).toBe(2); });",
      '});',
      "test('this runs anyway', () => {});",
    ].join('\n'),
  );
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function runPlanted(environment: NodeJS.ProcessEnv): { output: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--no-color'],
    { cwd: folder, encoding: 'utf8', env: { ...process.env, TEST_WITHOUT: 'turnserver', ...environment } },
  );
  return { output: stdout + stderr, status };
}

test('tests that need a missing program are skipped, and the program is named at the end', () => {
  const { output, status } = runPlanted({ REQUIRE_ALL: undefined });
  expect(output).toContain('Skipped, because turnserver is not installed: test/tools/planted.test.ts');
  expect(output).toContain('Tests: 1 passed, 0 failed, 2 skipped');
  expect(status).toBe(0);
});

test('a missing program fails the run if REQUIRE_ALL is set', () => {
  const { output, status } = runPlanted({ REQUIRE_ALL: '1' });
  expect(output).toContain('REQUIRE_ALL is set and this is not installed: turnserver');
  expect(status).not.toBe(0);
});
