// Writes dist/: the modules of src/ as JavaScript, at the same paths, and the declarations of the package's exports.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const root = dirname(import.meta.dirname);
const dist = join(root, 'dist');
const { bin, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly bin: { readonly parley: string };
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>;
};

rmSync(dist, { recursive: true, force: true });
const { status, error } = spawnSync('tsc', ['--project', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (error !== undefined) throw error;
if (status !== 0) throw new Error(`tsc ended with ${status}`);
chmodSync(join(root, bin.parley), 0o755);
cpSync(join(root, 'src/page'), join(dist, 'page'), { recursive: true });
removeInternalDeclarations();

/** Keeps the declarations that the exports reach. */
function removeInternalDeclarations(): void {
  const reached = new Set<string>();
  for (const entry of Object.values(exports))
    if (typeof entry !== 'string' && entry.types.startsWith('./dist/'))
      addDeclaration(join(root, entry.types), reached);
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.name.endsWith('.d.ts') && !reached.has(path)) rmSync(path);
  }
}

function addDeclaration(path: string, reached: Set<string>): void {
  if (reached.has(path)) return;
  if (!existsSync(path)) throw new Error(`${path} is exported or imported, and does not exist.`);
  reached.add(path);
  for (const [, specifier = ''] of readFileSync(path, 'utf8').matchAll(
    /(?:from |import\()'(\.[^']+)\.[jt]s'/g,
  ))
    addDeclaration(resolve(dirname(path), `${specifier}.d.ts`), reached);
}
