import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { findFreePort } from '../harness/ports.ts';
import { startPostgres } from '../harness/postgres.ts';
import { PROGRAM_ENV, ROOT, startProgram, waitUntilListening } from '../harness/program.ts';
import { contextCopies, createContextFilter, readImage, readInstructions } from './dockerfile.ts';
import { DEPLOY } from './samples.ts';

// There is no container engine here: the image is what its instructions say.

const isInContext = createContextFilter(readFileSync(join(ROOT, '.dockerignore'), 'utf8'));
const trackedFiles = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(ROOT, path)));

const textOf = (wanted: string): string => readImage().find(({ keyword }) => keyword === wanted)?.text ?? '';

test('the Dockerfile has no mistakes that a linter finds', () => {
  const linter = join(ROOT, 'node_modules', 'dockerfile-utils', 'bin', 'dockerfile-utils');
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [linter, 'lint', join(DEPLOY, 'Dockerfile')],
    {
      encoding: 'utf8',
    },
  );
  expect([stdout, stderr, status]).toEqual(['', '', 0]);
});

test('the image has the Node of the project', () => {
  const version = readFileSync(join(ROOT, '.node-version'), 'utf8').trim();
  expect(readInstructions()[0]).toEqual({ keyword: 'ARG', text: `NODE_VERSION=${version}` });
});

test('the image runs without privileges, receives signals itself, and checks its health', () => {
  expect(textOf('USER')).toBe('65532:65532');
  expect(textOf('STOPSIGNAL')).toBe('SIGTERM');
  expect(JSON.parse(textOf('ENTRYPOINT'))).toEqual(['node', 'src/main.ts']);
  expect(readHealthCheck()).toEqual(['node', '--eval', expect.stringContaining('/healthz')]);
});

test('the build context has what the Dockerfile copies, and nothing secret or large', () => {
  const context = trackedFiles.filter(isInContext);
  for (const source of contextCopies(readInstructions()).flatMap(({ sources }) => sources))
    expect([source, context.some((path) => path === source || path.startsWith(`${source}/`))]).toEqual([
      source,
      true,
    ]);
  for (const path of [
    '.env',
    '.git/config',
    'data/auth-secret',
    'data/db/PG_VERSION',
    'deploy/.env',
    'deploy/secrets/privkey.pem',
    'examples/session.ts',
    'node_modules/ws/index.js',
    'src/.env.local',
    'src/debug.log',
    'test/deploy/image.test.ts',
  ])
    expect([path, isInContext(path)]).toEqual([path, false]);
  const bytes = context.map((path) => statSync(join(ROOT, path)).size).reduce((sum, size) => sum + size, 0);
  expect(bytes).toBeLessThan(5_000_000);
});

describe.skipIf(isMissing('unshare'))('the files of the image', { timeout: 120_000 }, () => {
  test('suffice to migrate, serve and pass the health check on a read-only file system', async () => {
    await using stack = new AsyncDisposableStack();
    const postgres = stack.use(await startPostgres());
    const app = await mkdtemp(join(tmpdir(), 'parley-image-'));
    stack.defer(() => rm(app, { recursive: true, force: true }));
    await copyImage(app);
    const data = join(app, 'data');
    await mkdir(data);
    const PORT = String(await findFreePort());
    const script = 'mount -t tmpfs tmpfs "$DATA_DIR" && mount -o remount,bind,ro / && exec "$@"';
    const env = {
      PATH: PROGRAM_ENV.PATH,
      DATA_DIR: data,
      DATABASE_URL: postgres.url,
      AUTH_SECRET: 'a secret of the image',
      HOST: '127.0.0.1',
      PORT,
    };
    const [, ...entrypoint] = JSON.parse(textOf('ENTRYPOINT')) as string[];
    const run = (...args: string[]) =>
      startProgram(
        [requireProgram('unshare'), '-rm', 'sh', '-c', script, 'sh', process.execPath, ...args],
        env,
        app,
      );
    await using migration = run(...entrypoint, 'migrate');
    expect([await migration.exited, migration.printed.stderr]).toEqual([[0, null], '']);

    await using program = run(...entrypoint);
    const url = await waitUntilListening(program.child);
    const [, ...check] = readHealthCheck();
    expect(spawnSync(process.execPath, check, { env: { PORT } }).status).toBe(0);
    expect(spawnSync(process.execPath, check, { env: { PORT: String(await findFreePort()) } }).status).toBe(
      1,
    );
    for (const path of [
      '/',
      '/channels',
      '/asyncapi.yaml',
      '/docs/clients.md',
      '/page/vendor/parley-client.js',
      '/readyz',
    ])
      expect([path, (await fetch(`${url}${path}`)).status]).toEqual([path, 200]);
    program.child.kill('SIGTERM');
    expect(await program.exited).toEqual([0, null]);
    expect(program.printed.stderr).toBe('');
  });
});

const readHealthCheck = (): string[] =>
  JSON.parse(/CMD (\[.*\])$/.exec(textOf('HEALTHCHECK'))?.[1] ?? '[]') as string[];

/** Copies the files that the image has below /app. */
async function copyImage(folder: string): Promise<void> {
  for (const { sources, target } of contextCopies(readImage())) {
    for (const source of sources) {
      const isFolder = statSync(join(ROOT, source)).isDirectory();
      await cp(join(ROOT, source), join(folder, target, isFolder ? '' : basename(source)), {
        recursive: true,
        verbatimSymlinks: true,
        filter: (path) => statSync(path).isDirectory() || isInContext(path.slice(ROOT.length + 1)),
      });
    }
  }
  // `npm ci --omit=dev` and `rm`, without the network. Optional packages are installed for the platform alone.
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; link?: boolean }>;
  };
  for (const [path, { dev, devOptional, link }] of Object.entries(packages)) {
    if (!path.startsWith('node_modules/') || [dev, devOptional, link].includes(true)) continue;
    if (path.startsWith('node_modules/node-linux-') || !existsSync(join(ROOT, path))) continue;
    await cp(join(ROOT, path), join(folder, path), {
      recursive: true,
      filter: (file) =>
        !/\.(?:map|d\.[cm]?ts)$/.test(file) &&
        !file.slice(ROOT.length + path.length + 1).includes('node_modules'),
    });
  }
}
