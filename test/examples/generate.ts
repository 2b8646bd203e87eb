import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Writes what these examples generate from the schema, and what they are run and compiled with. */
export async function generate(...folders: readonly string[]): Promise<void> {
  const run = promisify(execFile);
  await Promise.all(folders.map((folder) => run('npm', ['run', 'generate'], { cwd: `examples/${folder}` })));
}
