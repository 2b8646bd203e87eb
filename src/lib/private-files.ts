import { chmod, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const OTHERS = 0o077;

/**
 * Removes the permissions of other users from a folder, and, if it had any, from everything in it. Ignores a missing
 * folder. Throws if a file belongs to another user.
 */
export async function makePrivate(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const info = await lstat(path).catch(() => undefined);
  if (info === undefined || info.isSymbolicLink() || (info.mode & OTHERS) === 0) return;
  await chmod(path, info.mode & ~OTHERS);
  if (!info.isDirectory()) return;
  for (const name of await readdir(path)) await makePrivate(join(path, name));
}
