import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { ROOT } from './program.ts';

/** An entry of package-lock.json, which has what npm reads of a manifest. */
interface LockedPackage {
  readonly version: string;
  readonly link?: boolean;
}

interface RegisteredPackage extends LockedPackage {
  /** Where it is installed here. */
  readonly path: string;
}

/** A registry of npm on 127.0.0.1. */
export interface PackageRegistry extends AsyncDisposable {
  /** Environment in which npm uses it, and keeps its cache in a folder. */
  environment(cache: string): Record<string, string>;
}

/** Starts a registry with the packages that are installed here, in the versions of package-lock.json. */
export async function startPackageRegistry(): Promise<PackageRegistry> {
  const packages = await readPackages();
  const server = createServer((request, response) => {
    const [name = '', version] = decodeURIComponent(request.url?.slice(1) ?? '').split('/-/');
    const versions = packages.get(name);
    const found = version === undefined ? undefined : versions?.get(version.replace(/\.tgz$/, ''));
    if (found !== undefined) return void pack(found.path).pipe(response);
    if (versions === undefined || version !== undefined) return void response.writeHead(404).end();
    const origin = `http://${request.headers.host}`;
    const manifests = [...versions.values()].map(({ path: _, ...manifest }) => [
      manifest.version,
      { ...manifest, name, dist: { tarball: `${origin}/${name}/-/${manifest.version}.tgz` } },
    ]);
    const latest = [...versions.keys()].at(-1);
    response.end(
      JSON.stringify({ name, 'dist-tags': { latest }, versions: Object.fromEntries(manifests) as unknown }),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    environment: (cache) => ({
      npm_config_registry: `http://127.0.0.1:${port}/`,
      npm_config_cache: cache,
      npm_config_audit: 'false',
      npm_config_update_notifier: 'false',
    }),
    [Symbol.asyncDispose]: async () => server.close().closeAllConnections(),
  };
}

/** Returns the packages by name and version. */
async function readPackages(): Promise<Map<string, Map<string, RegisteredPackage>>> {
  const lock = await readFile(join(ROOT, 'package-lock.json'), 'utf8');
  const entries = Object.entries((JSON.parse(lock) as { packages: Record<string, LockedPackage> }).packages);
  const packages = new Map<string, Map<string, RegisteredPackage>>();
  for (const [folder, entry] of entries) {
    const path = join(ROOT, folder);
    if (!folder.startsWith('node_modules/') || entry.link === true || !existsSync(path)) continue;
    const name = folder.split('node_modules/').at(-1) ?? '';
    const versions = packages.get(name) ?? new Map<string, RegisteredPackage>();
    packages.set(name, versions.set(entry.version, { ...entry, path }));
  }
  return packages;
}

/** Returns the archive of an installed package, without those that are installed in it. */
function pack(path: string): NodeJS.ReadableStream {
  const options = [
    '--exclude=./node_modules',
    '--transform=s|^\\.|package|',
    '--use-compress-program=gzip -1',
  ];
  return spawn('tar', ['--create', ...options, '--directory', path, '.'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  }).stdout;
}
