import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { MIGRATIONS } from '../../src/db/migrate.ts';
import { logIn } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { readPreviousRelease } from '../harness/previous-release.ts';
import { ROOT } from '../harness/program.ts';
import type { Server } from '../harness/server.ts';
import { createFolder, openShell, startDeployment } from './book.ts';
import { openSession } from './rotation.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

// Upgrades two nodes of the previous release, and rolls them back, with the commands of docs/operations/upgrades.md, beside live
// clients. Instead of `npm ci`, which needs the registry, both releases take the packages of this checkout.

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

const readVersions = (nodes: readonly Server[]): Promise<(string | undefined)[]> =>
  Promise.all(
    nodes.map(async ({ url }) => {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      return /^parley_build_info\{version="([^"]+)"/m.exec(metrics)?.[1];
    }),
  );

describe.skipIf(isMissing('postgresql', 'curl'))('the book', () => {
  test('upgrades two nodes of the previous release, and rolls them back', { timeout: 180_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const checkout = await createCheckout(stack);
    const { nodes, run, postgres } = await startDeployment(
      stack,
      {
        // A shell that sources the settings would fail, or start something.
        MAIL_FROM: 'Parley <parley@example.com>',
        MAIL_URL: 'https://mail.example.com/?first=1&second=2',
      },
      { checkout },
    );
    const page = await readProjectFile('docs/operations/upgrades.md');
    const [definitions = '', note = '', upgrade = '', rollBack = ''] = findCodeBlocks(page, 'sh');
    /** Runs a block as an interactive shell does: it continues after a failure. */
    const step = (block: string, install: string) =>
      run(`set +e\n${definitions}${block.replace(INSTALL, install)}`);
    const session = openSession(stack, nodes, await logIn(nodes[0].url));
    await session.expectLive();
    const previous = [PREVIOUS_VERSION, PREVIOUS_VERSION];
    expect(await readVersions(nodes)).toEqual(previous);

    await step(note, 'true');
    await expect(step(upgrade, 'false')).rejects.toThrow('ended with 1');
    await expect(step(upgrade.replace('npm run migrate', 'false'), 'true')).rejects.toThrow('ended with 1');
    expect(await readVersions(nodes)).toEqual(previous);
    await session.expectLive();

    await step(upgrade, 'true');
    expect(await readVersions(nodes)).toEqual([NEXT_VERSION, NEXT_VERSION]);
    await session.expectLive();
    const [, query = ''] = /`(select name from kysely_migration)`/.exec(page) ?? [];
    const url = `postgres://postgres@127.0.0.1:${postgres.port}/parley`;
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query<{ name: string }>(query);
    await client.end();
    expect(rows.map(({ name }) => name).toSorted()).toEqual(Object.keys(MIGRATIONS).toSorted());

    await step(rollBack, 'true');
    expect(await readVersions(nodes)).toEqual(previous);
    await session.expectLive();
    for (const node of nodes) expect(node.printed()).not.toMatch(/"level":50/);
  });
});
