import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder for the embedded databases of all workers. */
    embeddedDatabases: string;
  }
}

/** Provides the projects over the embedded database with a folder for their databases, which the end of the run deletes. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const path = await mkdtemp(join(tmpdir(), 'parley-databases-'));
  project.provide('embeddedDatabases', path);
  return () => rm(path, { recursive: true, force: true, maxRetries: 5 });
}
