import { randomBytes } from 'node:crypto';
import { link, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makePrivate } from '../lib/private-files.ts';

/**
 * Returns the token secret of a gateway without AUTH_SECRET: created once per data folder, or per process in memory.
 * Throws if the stored secret is truncated.
 */
export async function loadOrCreateSecret(dataDir: string | undefined): Promise<string> {
  const secret = randomBytes(32).toString('base64url');
  if (dataDir === undefined) return secret;
  const file = join(dataDir, 'auth-secret');
  const partialFile = `${file}.part`;
  try {
    // `link` publishes the file complete and fails if it exists: a process that starts concurrently, or a crash
    // halfway, must not leave tokens signed with a part of the secret.
    await writeFile(partialFile, secret, { mode: 0o600 });
    await link(partialFile, file);
    return secret;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    await makePrivate(file);
    const existing = (await readFile(file, 'utf8')).trim();
    if (existing.length >= secret.length) return existing;
    throw new Error(`the secret in ${file} is too short; restore it, or delete it, which ends all sessions`);
  } finally {
    await rm(partialFile, { force: true });
  }
}

/** Returns the media folder. Without a data folder, creates a temporary one, removed when the stack is disposed. */
export async function resolveMediaDir(
  dataDir: string | undefined,
  stack: AsyncDisposableStack,
): Promise<string> {
  if (dataDir !== undefined) {
    const dir = join(dataDir, 'media');
    await makePrivate(dir);
    return dir;
  }
  const dir = await mkdtemp(join(tmpdir(), 'parley-media-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
