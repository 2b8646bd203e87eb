import { execFileSync } from 'node:child_process';
import { PROGRAM_ENV, ROOT } from './program.ts';

/** Makes all cursors of an embedded database invalid, as after its backup was restored. No server may use it. */
export function renewEpoch(dataDir: string): void {
  execFileSync(process.execPath, ['src/main.ts', 'renew-epoch'], {
    cwd: ROOT,
    env: { ...PROGRAM_ENV, DATA_DIR: dataDir },
    stdio: 'ignore',
  });
}
