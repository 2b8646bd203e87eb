import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { CACHE, ROOT } from './program.ts';

export interface DataFolder extends AsyncDisposable {
  readonly path: string;
}

/**
 * Creates a DATA_DIR with an empty database cluster, as for a first start. The cluster is a copy, as `initdb` of the
 * embedded database takes four seconds of CPU.
 */
export async function createDataFolder(parent = tmpdir()): Promise<DataFolder> {
  const cluster = await prepareCluster();
  const path = await mkdtemp(join(parent, 'parley-data-'));
  await cp(cluster, join(path, 'db'), { recursive: true });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** Returns the folder of a cluster that is cached between runs for each version of the embedded database. */
async function prepareCluster(): Promise<string> {
  const { version } = JSON.parse(
    readFileSync(join(ROOT, 'node_modules', '@electric-sql', 'pglite', 'package.json'), 'utf8'),
  ) as { version: string };
  const cluster = join(CACHE, `cluster-${version}`);
  if (existsSync(cluster)) return cluster;
  await mkdir(CACHE, { recursive: true });
  const unfinished = await mkdtemp(join(CACHE, 'unfinished-'));
  const database = await PGlite.create({ dataDir: join(unfinished, 'db') });
  await database.close();
  // Fails if another worker was faster. Its cluster is equivalent.
  await rename(join(unfinished, 'db'), cluster).catch((error: unknown) => {
    if (!existsSync(cluster)) throw error;
  });
  await rm(unfinished, { recursive: true });
  return cluster;
}
