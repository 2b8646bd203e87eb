import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../test/harness/postgres.ts';
import { startServer } from './server.ts';

/** Starts a server process on an embedded database, or on a new PostgreSQL. */
export async function startFixture(database: 'embedded' | 'postgres', stack: AsyncDisposableStack) {
  if (database === 'embedded') {
    const server = stack.use(await startServer({ DATA_DIR: await createFolder(stack) }));
    return { server, postgres: undefined };
  }
  const postgres = stack.use(await startPostgres());
  const env = { DATABASE_URL: postgres.url, MEDIA_DIR: await createFolder(stack) };
  return { server: stack.use(await startServer(env)), postgres };
}

/** Creates a temporary folder, and removes it with the stack. */
export async function createFolder(stack: AsyncDisposableStack): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'parley-chaos-'));
  stack.defer(() => rm(path, { recursive: true, force: true }));
  return path;
}
