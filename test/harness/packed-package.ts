import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './program.ts';

const run = promisify(execFile);

/** Inputs of the build, and what the package contains beside its result. */
const PARTS = [
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'LICENSE',
  'NOTICE',
  'README.md',
  'SECURITY.md',
  'asyncapi.yaml',
  'client',
  'deploy',
  'docs',
  'package.json',
  'schema.graphql',
  'scripts',
  'src',
  'tsconfig.build.json',
  'tsconfig.json',
];

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly scripts: Readonly<Record<string, string>>;
}

/** A project, in an otherwise empty folder, in which the packed package is installed. */
export interface PackageProject extends AsyncDisposable {
  readonly folder: string;
  readonly manifest: Manifest;
  /** The installed package. */
  readonly packageFolder: string;
  /** The command `parley`. */
  readonly bin: string;
  write(name: string, text: string): Promise<void>;
}

/**
 * Packs a copy of this project and installs the result as npm does, without the registry: each dependency that the manifest
 * names, and each further package, is a link to the one that is installed here.
 */
export async function installPackage(furtherPackages: readonly string[] = []): Promise<PackageProject> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-package-'));
  const modules = join(folder, 'node_modules');
  const packageFolder = join(modules, 'parley');
  const tarball = await packProject(folder);
  await mkdir(packageFolder, { recursive: true });
  await run('tar', ['-xzf', tarball, '-C', packageFolder, '--strip-components', '1']);
  const manifest = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as Manifest;
  for (const name of [...Object.keys(manifest.dependencies), ...furtherPackages]) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
  const bin = join(modules, '.bin', 'parley');
  await mkdir(dirname(bin));
  await symlink(join('..', 'parley', manifest.bin['parley'] ?? ''), bin);
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  return {
    folder,
    manifest,
    packageFolder,
    bin,
    write: (name, text) => writeFile(join(folder, name), text),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
}

/** Packs this project, under another version if one is given, into a folder. Returns the path of the archive. */
export async function packProject(destination: string, version?: string): Promise<string> {
  // A build replaces dist/, which another test may pack.
  const copy = await mkdtemp(join(tmpdir(), 'parley-pack-'));
  for (const part of PARTS)
    await cp(join(ROOT, part), join(copy, part), { recursive: true, verbatimSymlinks: true });
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const file = join(copy, 'package.json');
  const manifest = JSON.parse(await readFile(file, 'utf8')) as { version: string };
  const packed = { ...manifest, version: version ?? manifest.version };
  await writeFile(file, JSON.stringify(packed));
  await run('npm', ['pack', '--pack-destination', destination], { cwd: copy });
  await rm(copy, { recursive: true });
  return join(destination, `parley-${packed.version}.tgz`);
}
