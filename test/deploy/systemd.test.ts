import { spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { DEPLOY, readSample } from './samples.ts';

const UNIT = join(DEPLOY, 'systemd', 'parley.service');
/** Of 100, which is a service without any restriction. */
const MAX_EXPOSURE = 15;

describe.skipIf(isMissing('systemd-analyze'))('the units', () => {
  const analyze = (...args: string[]) =>
    spawnSync(requireProgram('systemd-analyze'), args, { encoding: 'utf8' });

  test('are valid', async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'parley-unit-'));
    stack.defer(() => rm(folder, { recursive: true }));
    const node = join(folder, 'node_modules', '.bin', 'node');
    await mkdir(dirname(node), { recursive: true });
    await writeFile(node, '');
    await chmod(node, 0o755);
    await mkdir(join(folder, 'deploy'));
    await cp(join(DEPLOY, 'nginx'), join(folder, 'deploy', 'nginx'), { recursive: true });
    for (const name of ['parley.service', 'parley-nginx-check.service']) {
      const unit = join(folder, name);
      await writeFile(unit, readSample(`systemd/${name}`, { '/opt/parley': folder }));
      const { stdout, stderr, status } = analyze('verify', '--man=no', '--recursive-errors=no', unit);
      expect([name, stdout, stderr, status]).toEqual([name, '', '', 0]);
    }
  });

  test('restrict what the program may do', () => {
    const { stdout, status } = analyze('security', '--offline=true', `--threshold=${MAX_EXPOSURE}`, UNIT);
    expect([status, stdout]).toEqual([0, expect.stringContaining('Overall exposure level')]);
  });
});
