// The old Socket.IO clients that the tests drive have a lock file and a policy on scripts of their own, and so are
// installed in a folder of their own; only when what is there is not what the lock file says.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const folder = join(dirname(import.meta.dirname), 'test', 'clients');
const stamp = join(folder, 'node_modules', '.installed');
const wanted = ['package.json', 'package-lock.json', '.npmrc']
  .reduce((hash, file) => hash.update(readFileSync(join(folder, file))), createHash('sha256'))
  .digest('hex');

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  console.log('Installing the old Socket.IO clients');
  const { status, error } = spawnSync('npm', ['ci', '--ignore-scripts'], { cwd: folder, stdio: 'inherit' });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(stamp, wanted);
}
