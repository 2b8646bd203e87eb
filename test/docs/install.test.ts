import { spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseEnv } from 'node:util';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../harness/program.ts';
import { findFreePort } from '../harness/ports.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { startNginxWith } from '../harness/nginx.ts';
import { startPostgres } from '../harness/postgres.ts';
import { prepareServer } from '../harness/server.ts';
import { createFolder, openShell, readCommands } from './book.ts';

// Installs two nodes and nginx with the commands of docs/operations/install.md, apart from those of apt and systemd.

/** Returns the commands of a block from the line that begins with the first text to that with the second, both included. */
function cut(block: string, first: string, last: string): string {
  const lines = block.split('\n');
  const from = lines.findIndex((line) => line.startsWith(first));
  const to = lines.findIndex((line, index) => index >= from && line.includes(last));
  if (from < 0 || to < 0) throw new Error(`The book has no lines from ${first} to ${last}`);
  return `${lines.slice(from, to + 1).join('\n')}\n`;
}

describe.skipIf(isMissing('postgresql', 'nginx', 'openssl', 'curl'))('the book', () => {
  test('installs two nodes behind nginx', { timeout: 180_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await createFolder(stack);
    const postgres = stack.use(await startPostgres({ programs: requireProgram('postgresql') }));
    const ports = [await findFreePort(), await findFreePort()] as const;
    const replacements = {
      'runuser -u postgres --': '',
      '/opt/parley/deploy': join(ROOT, 'deploy'),
      '/etc/': `${folder}/`,
      '/var/lib/parley': join(folder, 'state'),
      '127.0.0.1:5432': `127.0.0.1:${postgres.port}`,
      4001: String(ports[0]),
      4002: String(ports[1]),
    };
    const env = {
      PATH: `${requireProgram('postgresql')}:${process.env.PATH ?? ''}`,
      PGHOST: '127.0.0.1',
      PGPORT: String(postgres.port),
      PGUSER: 'postgres',
    };
    const run = await openShell(stack, async () => undefined, env, replacements);
    for (const path of ['redis', 'systemd/system', 'nginx/conf.d', 'state'])
      await mkdir(join(folder, path), { recursive: true });

    const [databases = ''] = await readCommands('install', 'PostgreSQL and Redis');
    const [settings = ''] = await readCommands('install', 'Settings');
    await run(`${databases}${settings}`);
    const written = parseEnv(await readFile(join(folder, 'parley.env'), 'utf8')) as Record<string, string>;
    expect(await readFile(join(folder, 'redis', 'redis.conf'), 'utf8')).toContain(
      `requirepass ${/:([0-9a-f]{64})@/.exec(written['REDIS_URL'] ?? '')?.[1]}`,
    );

    const [nodeCommands = ''] = await readCommands('install', 'Nodes');
    await run(cut(nodeCommands, 'MAIN=', 'parley@.service'));
    const unit = await readFile(join(folder, 'systemd/system/parley@.service'), 'utf8');
    expect(unit).toContain('\nStateDirectory=parley parley/media\n');
    for (const port of ports) {
      const own = [...unit.matchAll(/^Environment=(.*)$/gm)].flatMap(([, line = '']) =>
        line.replaceAll('%i', String(port)).replaceAll('/var/lib/parley', join(folder, 'state')).split(' '),
      );
      // Without Redis, which the test does not need.
      const { REDIS_URL: _, ...shared } = written;
      const server = stack.use(
        await prepareServer({ ...parseEnv(own.join('\n')), ...shared, DRAIN_DELAY_MS: '0' }),
      );
      await server.start();
    }

    const [nginx = ''] = await readCommands('install', 'nginx');
    await run(cut(nginx, 'mkdir', 'parley.conf >'));
    const conf = await readFile(join(folder, 'nginx/conf.d/parley.conf'), 'utf8');
    const front = stack.use(
      await startNginxWith((port) => conf.replace('listen 80 ', `listen 127.0.0.1:${port} `)),
    );
    for (const port of ports) {
      const open = await fetch(`http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling`);
      const sid = /"sid":"([^"]+)"/.exec(await open.text())?.[1] ?? '';
      expect(sid).toMatch(new RegExp(`^${port}\\.`));
      const poll = await fetch(`${front.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, {
        method: 'POST',
        body: '40',
      });
      expect(poll.status).toBe(200);
    }
    const [check = ''] = await readCommands('install', 'Check');
    const runBehindNginx = await openShell(stack, async () => undefined, env, {
      ...replacements,
      'http://127.0.0.1/': `${front.url}/`,
    });
    const output = await runBehindNginx(`ADMIN_TOKEN=${written['ADMIN_TOKEN']}\n${check}`);
    expect(JSON.parse(output.split('\n')[0]?.replace(/\}parley_ready.*/, '}') ?? '')).toMatchObject({
      data: { createAccount: { token: expect.any(String) } },
    });
    expect(output.match(/^parley_ready 1$|\}parley_ready 1$/gm)).toHaveLength(2);
  });

  test.skipIf(isMissing('systemd-analyze'))('has a valid unit', async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await createFolder(stack);
    await mkdir(join(folder, 'systemd/system'), { recursive: true });
    const replacements = { '/opt/parley/deploy': join(ROOT, 'deploy'), '/etc/': `${folder}/` };
    const run = await openShell(stack, async () => undefined, {}, replacements);
    const [commands = ''] = await readCommands('install', 'Nodes');
    await run(cut(commands, 'MAIN=', 'parley@.service'));
    const unit = join(folder, 'systemd/system/parley@.service');
    const node = join(folder, 'node_modules/.bin/node');
    await mkdir(dirname(node), { recursive: true });
    await writeFile(node, '', { mode: 0o755 });
    await writeFile(unit, (await readFile(unit, 'utf8')).replaceAll('/opt/parley', folder));
    const options = ['verify', '--man=no', '--recursive-errors=no', unit];
    const { stdout, stderr, status } = spawnSync(requireProgram('systemd-analyze'), options, {
      encoding: 'utf8',
    });
    expect([stdout, stderr, status]).toEqual(['', '', 0]);
  });
});
