import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

/** Generates the files that these examples derive from the schema. Throws if the examples are not installed. */
export async function generate(...folders: readonly string[]): Promise<void> {
  requireExamples();
  const run = promisify(execFile);
  await Promise.all(folders.map((folder) => run('npm', ['run', 'generate'], { cwd: `examples/${folder}` })));
}

/** Throws with a hint if the examples are not installed, as `npm test` does. */
export function requireExamples(): void {
  if (existsSync('examples/node_modules')) return;
  throw new Error('The client libraries of the examples are not installed. Run: npm run pretest');
}
