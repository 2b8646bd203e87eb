import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The secret of a gateway that was not given one: as old as its data folder, or new when nothing is kept. */
export async function ownSecret(dataDir: string | undefined): Promise<string> {
  const secret = randomBytes(32).toString('base64url');
  if (dataDir === undefined) return secret;
  const file = join(dataDir, 'auth-secret');
  try {
    await writeFile(file, secret, { mode: 0o600, flag: 'wx' });
    return secret;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    return (await readFile(file, 'utf8')).trim();
  }
}

/** The folder of uploaded media. One in which nothing is kept is removed with the stack. */
export async function ownMediaDir(dataDir: string | undefined, stack: AsyncDisposableStack): Promise<string> {
  if (dataDir !== undefined) return join(dataDir, 'media');
  const dir = await mkdtemp(join(tmpdir(), 'parley-media-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
