import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { requireExamples } from './generate.ts';

/** An example in a folder of its own, outside the checkout. */
export interface CopiedExample extends AsyncDisposable {
  readonly path: string;
}

/** Copies `examples/<folder>` to a new folder, and links there the packages that `npm install` would install. */
export async function copyExample(folder: string): Promise<CopiedExample> {
  requireExamples();
  const path = await mkdtemp(join(tmpdir(), 'parley-example-'));
  const source = resolve('examples', folder);
  await cp(source, path, { recursive: true, filter: (from) => !from.endsWith('node_modules') });
  for (const packages of [join(source, 'node_modules'), resolve('examples/node_modules')])
    await linkMissing(packages, join(path, 'node_modules'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Links the packages of one folder that another one lacks. */
async function linkMissing(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  const present = new Set(await readdir(to));
  for (const name of await readdir(from).catch(() => [])) {
    if (name === '.bin' && !present.has(name)) await symlink(join(from, name), join(to, name));
    else if (name.startsWith('@')) await linkMissing(join(from, name), join(to, name));
    else if (!name.startsWith('.') && !present.has(name)) await symlink(join(from, name), join(to, name));
  }
}
