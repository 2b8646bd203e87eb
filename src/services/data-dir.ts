import { randomBytes } from 'node:crypto';
import { link, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The secret of a gateway that was not given one: as old as its data folder, or new when nothing is kept. */
export async function loadOrCreateSecret(dataDir: string | undefined): Promise<string> {
  const secret = randomBytes(32).toString('base64url');
  if (dataDir === undefined) return secret;
  const file = join(dataDir, 'auth-secret');
  const unfinished = `${file}.part`;
  try {
    // Whole or not at all, or tokens would be signed with a part of it.
    await writeFile(unfinished, secret, { mode: 0o600 });
    await link(unfinished, file);
    return secret;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    const kept = (await readFile(file, 'utf8')).trim();
    if (kept.length >= secret.length) return kept;
    throw new Error(
      `the secret in ${file} is too short; restore it, or remove it and have everybody log in again`,
    );
  } finally {
    await rm(unfinished, { force: true });
  }
}

/** The folder of uploaded media. One in which nothing is kept is removed with the stack. */
export async function resolveMediaDir(
  dataDir: string | undefined,
  stack: AsyncDisposableStack,
): Promise<string> {
  if (dataDir !== undefined) return join(dataDir, 'media');
  const dir = await mkdtemp(join(tmpdir(), 'parley-media-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
