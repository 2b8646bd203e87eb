import { access, cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { MIGRATIONS } from '../../src/db/migrate.ts';
import { logIn } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startPackageRegistry } from '../harness/package-registry.ts';
import { packProject } from '../harness/packed-package.ts';
import { readPreviousRelease } from '../harness/previous-release.ts';
import { ROOT, SERVER_COMMAND } from '../harness/program.ts';
import type { Server } from '../harness/server.ts';
import { createFolder, openShell, readCommands, startDeployment } from './book.ts';
import type { Deployment } from './book.ts';
import { openSession } from './rotation.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

// Upgrades two nodes of the previous release, and rolls them back, with the commands of docs/operations/upgrades.md, beside live
// clients. Instead of `npm ci`, which needs the registry of the lock file, both checkouts take the packages of this one.

const PREVIOUS_VERSION = '0.1.0';
const NEXT_VERSION = '0.2.0';
const INSTALL = 'npm ci --omit=dev';

/** Creates a clone of a repository with both releases, at the previous one. */
async function createCheckout(stack: AsyncDisposableStack): Promise<string> {
  const origin = join(await createFolder(stack), 'origin');
  const checkout = join(await createFolder(stack), 'parley');
  const run = await openShell(stack, async () => undefined, {});
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as object;
  const writeManifest = (version: string) =>
    writeFile(join(origin, 'package.json'), JSON.stringify({ ...manifest, version }));
  const commit = (message: string) =>
    run(
      `cd ${origin} && git add --all && git -c user.name=Test -c user.email=test@example.com commit --quiet --message='${message}'`,
    );
  await mkdir(join(origin, 'src'), { recursive: true });
  await run(`git init --quiet ${origin}`);
  await writeFile(join(origin, '.gitignore'), 'node_modules\ndata\n');
  await writeFile(join(origin, 'src/main.ts'), `import('./program.js');\n`);
  await writeFile(join(origin, 'src/program.js'), await readPreviousRelease());
  await writeManifest(PREVIOUS_VERSION);
  await commit('previous release');
  await run(`git clone --quiet ${origin} ${checkout} && ln --symbolic ${ROOT}/node_modules ${checkout}`);

  await rm(join(origin, 'src'), { recursive: true });
  for (const part of ['src', 'client', 'schema.graphql', 'asyncapi.yaml'])
    await cp(join(ROOT, part), join(origin, part), { recursive: true, verbatimSymlinks: true });
  await writeManifest(NEXT_VERSION);
  await commit('next release');
  await run(`git -C ${origin} tag v${NEXT_VERSION}`);
  return checkout;
}

/** Installs the package of the previous release as the book does, and puts that of the next one beside it. */
async function installPackages(stack: AsyncDisposableStack) {
  const home = await createFolder(stack);
  const folder = join(home, 'parley');
  const registry = stack.use(await startPackageRegistry());
  const npm = registry.environment(join(home, 'npm'));
  const run = await openShell(stack, async () => undefined, npm, {
    '/opt/parley': folder,
    'linux-x64': `linux-${process.arch}`,
  });
  const previous = join(home, 'previous');
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    bin: { parley: string };
    dependencies: object;
  };
  const { bin, dependencies } = manifest;
  await mkdir(join(previous, 'deploy'), { recursive: true });
  await writeFile(join(previous, 'deploy', 'README.md'), '');
  await mkdir(dirname(join(previous, bin.parley)));
  await writeFile(join(previous, bin.parley), "#!/usr/bin/env node\nimport('./program.js');\n");
  await writeFile(join(previous, dirname(bin.parley), 'program.js'), await readPreviousRelease());
  const packed = { name: 'parley', version: PREVIOUS_VERSION, type: 'module', bin, dependencies };
  await writeFile(join(previous, 'package.json'), JSON.stringify(packed));
  await run(`cd ${previous} && npm pack --pack-destination ${home}`);

  const [, install = ''] = await readCommands('install', 'Packages');
  await run(`cd ${home}\n${install}`);
  await rename(await packProject(home, NEXT_VERSION), join(folder, `parley-${NEXT_VERSION}.tgz`));
  const [, mainOfPackage = ''] =
    /# the package: (\S+)$/m.exec((await readCommands('install', 'Nodes'))[0] ?? '') ?? [];
  const options = SERVER_COMMAND.slice(1, -1);
  const command = [join(folder, 'node_modules/.bin/node'), ...options, mainOfPackage] as const;
  return { folder, command, npm };
}

const readVersions = (nodes: readonly Server[]): Promise<(string | undefined)[]> =>
  Promise.all(
    nodes.map(async ({ url }) => {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      return /^parley_build_info\{version="([^"]+)"/m.exec(metrics)?.[1];
    }),
  );

// A shell that sources the settings would fail, or start something.
const SETTINGS = {
  MAIL_FROM: 'Parley <parley@example.com>',
  MAIL_URL: 'https://mail.example.com/?first=1&second=2',
};

/** Upgrades and rolls back with two steps, each of which resolves when its commands have ended. */
async function expectUpgrade(
  stack: AsyncDisposableStack,
  { nodes, postgres }: Deployment,
  { fail, upgrade, rollBack }: Record<'fail' | 'upgrade' | 'rollBack', () => Promise<unknown>>,
): Promise<void> {
  const session = openSession(stack, nodes, await logIn(nodes[0].url));
  await session.expectLive();
  const previous = [PREVIOUS_VERSION, PREVIOUS_VERSION];
  expect(await readVersions(nodes)).toEqual(previous);

  await fail();
  expect(await readVersions(nodes)).toEqual(previous);
  await session.expectLive();

  await upgrade();
  expect(await readVersions(nodes)).toEqual([NEXT_VERSION, NEXT_VERSION]);
  await session.expectLive();
  const page = await readProjectFile('docs/operations/upgrades.md');
  const [, query = ''] = /`(select name from kysely_migration)`/.exec(page) ?? [];
  const client = new pg.Client({ connectionString: `postgres://postgres@127.0.0.1:${postgres.port}/parley` });
  await client.connect();
  const { rows } = await client.query<{ name: string }>(query);
  await client.end();
  expect(rows.map(({ name }) => name).toSorted()).toEqual(Object.keys(MIGRATIONS).toSorted());

  await rollBack();
  expect(await readVersions(nodes)).toEqual(previous);
  await session.expectLive();
  for (const node of nodes) expect(node.printed()).not.toMatch(/"level":50/);
}

/** Returns a function that runs a block as an interactive shell does: it continues after a failure. */
async function openSteps(run: Deployment['run'], env: Readonly<Record<string, string>> = {}) {
  const [definitions = ''] = findCodeBlocks(await readProjectFile('docs/operations/upgrades.md'), 'sh');
  const exports = Object.entries(env).map(([name, value]) => `export ${name}='${value}'\n`);
  return (block: string) => run(`set +e\n${exports.join('')}${definitions}${block}`);
}

describe.skipIf(isMissing('postgresql', 'curl'))('the book', () => {
  test('upgrades two nodes of a checkout, and rolls them back', { timeout: 180_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await createCheckout(stack);
    const installation = { folder, command: SERVER_COMMAND };
    const deployment = await startDeployment(stack, SETTINGS, { installation });
    const [note = '', upgrade = '', rollBack = ''] = await readCommands('upgrades', 'A checkout');
    const step = await openSteps(deployment.run);
    const run = (block: string, install = 'true') => step(block.replace(INSTALL, install));
    await run(note);
    await expectUpgrade(stack, deployment, {
      async fail() {
        await expect(run(upgrade, 'false')).rejects.toThrow('ended with 1');
        await expect(run(upgrade.replace('npm run migrate', 'false'))).rejects.toThrow('ended with 1');
      },
      upgrade: () => run(upgrade),
      rollBack: () => run(rollBack),
    });
  });

  test('upgrades two nodes of the package, and rolls them back', { timeout: 240_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const { npm, ...installation } = await installPackages(stack);
    const deployment = await startDeployment(stack, SETTINGS, { installation });
    const [upgrade = '', rollBack = ''] = await readCommands('upgrades', 'The package');
    const step = await openSteps(deployment.run, npm);
    await expectUpgrade(stack, deployment, {
      fail: () => expect(step(upgrade.replace(NEXT_VERSION, '0.3.0'))).rejects.toThrow('ENOENT'),
      async upgrade() {
        await step(upgrade);
        await access(join(installation.folder, 'deploy/systemd/parley.service'));
      },
      rollBack: () => step(rollBack),
    });
  });
});
