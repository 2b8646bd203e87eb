import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { logIn } from '../harness/demo-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { runPgBouncer } from '../harness/pgbouncer.ts';
import { findFreePort } from '../harness/ports.ts';
import { createFolder, readCommands, startDeployment } from './book.ts';
import { openSession, openSteps, runBesideLogins } from './rotation.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

// Rotates the password of the database with the commands of docs/operations/secrets.md, beside live clients.

/** The blocks of the page, in its order. */
async function readSteps() {
  const blocks = await readCommands('secrets', 'Database password');
  expect(blocks).toHaveLength(5);
  const [create = '', addToPool = '', rotate = '', disable = '', dropFromPool = ''] = blocks;
  return { create, addToPool, rotate, disable, dropFromPool };
}

async function readRoles(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ usename: string }>(
    "select distinct usename from pg_stat_activity where datname = 'parley' and application_name like 'parley %'",
  );
  await client.end();
  return rows.map(({ usename }) => usename);
}

/** Starts PgBouncer with the configuration of docs/operations/postgresql.md, on another port, and a list of one user. */
async function startBookPgBouncer(stack: AsyncDisposableStack, postgresPort: number, users: string) {
  const page = await readProjectFile('docs/operations/postgresql.md');
  const [configuration = ''] = findCodeBlocks(page, 'ini');
  const folder = await createFolder(stack);
  await chmod(folder, 0o755);
  const port = await findFreePort();
  await writeFile(users, '"parley" "first"\n');
  await writeFile(
    join(folder, 'pgbouncer.ini'),
    configuration
      .replace('port=5432', `port=${postgresPort}`)
      .replace('listen_port = 6432', `listen_port = ${port}`)
      .replace('/etc/pgbouncer/userlist.txt', users),
  );
  return { port, ...stack.use(await runPgBouncer(join(folder, 'pgbouncer.ini'), port)) };
}

describe.skipIf(isMissing('postgresql', 'curl'))('rotation', () => {
  test('the password of the database is replaced beside logins', { timeout: 180_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const { nodes, run, postgres } = await startDeployment(stack);
    const step = await openSteps(run);
    await step('rotate DATABASE_LISTEN_URL "$(setting DATABASE_URL)"');
    const session = openSession(stack, nodes, await logIn(nodes[0].url));
    await session.expectLive();

    const { create, rotate, disable } = await readSteps();
    await runBesideLogins(nodes, logIn, () => step(`${create}${rotate}${disable}`));
    for (const name of ['DATABASE_URL', 'DATABASE_LISTEN_URL'])
      expect(await step(`setting ${name}`)).toMatch(/^postgres:\/\/parley_\d{12}:\w{64}@/);
    expect(await readRoles(postgres.url)).toEqual([expect.stringMatching(/^parley_\d{12}$/)]);
    await session.expectLive();
  });

  test.skipIf(isMissing('pgbouncer'))(
    'the password of the database is replaced in PgBouncer, beside logins',
    { timeout: 180_000 },
    async () => {
      await using stack = new AsyncDisposableStack();
      const reload = (verb: string, unit: string): void => {
        if (unit === 'pgbouncer' && verb === 'reload') bouncer.reload();
      };
      const systemctl = async (verb: string, unit: string): Promise<void> => reload(verb, unit);
      const { nodes, run, postgres, folder } = await startDeployment(stack, {}, { systemctl });
      const users = join(folder, 'pgbouncer', 'userlist.txt');
      await chmod(folder, 0o711);
      await mkdir(join(folder, 'pgbouncer'));
      const bouncer = await startBookPgBouncer(stack, postgres.port, users);
      const step = await openSteps(run);
      await step(`rotate DATABASE_LISTEN_URL "$(setting DATABASE_URL)"
        rotate DATABASE_URL "$(setting DATABASE_URL | sed 's|:${postgres.port}/|:${bouncer.port}/|')"`);
      const session = openSession(stack, nodes, await logIn(nodes[0].url));
      await session.expectLive();

      const { create, addToPool, rotate, disable, dropFromPool } = await readSteps();
      await runBesideLogins(nodes, logIn, () =>
        step(`${create}${addToPool}${rotate}${disable}${dropFromPool}`),
      );
      const [, role] = /\/\/(parley_\d{12}):\w{64}@/.exec(await step('setting DATABASE_URL')) ?? [];
      expect(await readFile(users, 'utf8')).toMatch(new RegExp(`^"${role}" "\\w{64}"\\n$`));
      await session.expectLive();
      // A pool closes its idle connections later: a former role may have some, which no node uses.
      expect(await readRoles(postgres.url)).toContain(role);
      const former = new pg.Client(`postgres://parley:first@127.0.0.1:${bouncer.port}/parley`);
      await expect(former.connect()).rejects.toThrow();
      await step('rotate LOG_LEVEL error');
      await session.expectLive();
    },
  );
});
