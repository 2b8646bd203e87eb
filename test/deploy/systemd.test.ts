import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { DEPLOY, readSample } from './samples.ts';

const UNIT = join(DEPLOY, 'systemd', 'parley.service');
/** Of 100, which is a service without any restriction. */
const MAX_EXPOSURE = 15;

describe.skipIf(isMissing('systemd-analyze'))('the unit', () => {
  const analyze = (...args: string[]) =>
    spawnSync(requireProgram('systemd-analyze'), args, { encoding: 'utf8' });

  test('is valid', async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'parley-unit-'));
    stack.defer(() => rm(folder, { recursive: true }));
    const node = join(folder, 'node_modules', '.bin', 'node');
    await mkdir(dirname(node), { recursive: true });
    await writeFile(node, '');
    await chmod(node, 0o755);
    const unit = join(folder, 'parley.service');
    await writeFile(unit, readSample('systemd/parley.service', { '/opt/parley': folder }));
    const { stdout, stderr, status } = analyze('verify', '--man=no', '--recursive-errors=no', unit);
    expect([stdout, stderr, status]).toEqual(['', '', 0]);
  });

  test('restricts what the program may do', () => {
    const { stdout, status } = analyze('security', '--offline=true', `--threshold=${MAX_EXPOSURE}`, UNIT);
    expect([status, stdout]).toEqual([0, expect.stringContaining('Overall exposure level')]);
  });
});
