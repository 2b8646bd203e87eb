import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Runs `npm ci --ignore-scripts` in a folder with its own lock file, unless that lock file is already installed. */
export function installFolder(folder: string, description: string): void {
  const stampFile = join(folder, 'node_modules', '.installed');
  const lockHash = ['package.json', 'package-lock.json', '.npmrc']
    .reduce((hash, file) => hash.update(readFileSync(join(folder, file))), createHash('sha256'))
    .digest('hex');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === lockHash) return;
  console.log(`Installing ${description}`);
  const { status, error } = spawnSync('npm', ['ci', '--ignore-scripts'], { cwd: folder, stdio: 'inherit' });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(stampFile, lockHash);
}
