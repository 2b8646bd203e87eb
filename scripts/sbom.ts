// Prints the bill of materials of the package in the format of CycloneDX: what an installation of it contains.
//
// `npm sbom --omit dev` leaves out packages that a development dependency needs, too (npm 11). Here npm reads a lock file that
// has only the dependencies of the package.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

interface LockEntry {
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly link?: boolean;
}

const root = dirname(import.meta.dirname);
const read = (name: string) => JSON.parse(readFileSync(join(root, name), 'utf8')) as Record<string, unknown>;
const { name, version, description, license, dependencies } = read('package.json');
const lock = read('package-lock.json') as { readonly packages: Readonly<Record<string, LockEntry>> };
const manifest = { name, version, description, license, dependencies };
const packages = Object.entries(lock.packages).filter(
  ([path, { dev = false, optional = false, link = false }]) =>
    path.startsWith('node_modules/') && !dev && !optional && !link,
);

const folder = mkdtempSync(join(tmpdir(), 'parley-sbom-'));
try {
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(
    join(folder, 'package-lock.json'),
    JSON.stringify({ ...lock, packages: { '': manifest, ...Object.fromEntries(packages) } }),
  );
  const options = ['--sbom-format', 'cyclonedx', '--sbom-type', 'application', '--package-lock-only'];
  const { status, error } = spawnSync('npm', ['sbom', ...options], { cwd: folder, stdio: 'inherit' });
  if (error !== undefined) throw error;
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
