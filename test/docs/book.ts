import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { requireProgram } from '../harness/installed-programs.ts';
import { startPostgres } from '../harness/postgres.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { ROOT } from '../harness/program.ts';
import { prepareServer } from '../harness/server.ts';
import type { Installation, Server } from '../harness/server.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

/** Returns the shell commands of a section of a chapter of docs/operations, by its heading. */
export async function readCommands(chapter: string, heading: string): Promise<string[]> {
  const page = await readProjectFile(`docs/operations/${chapter}.md`);
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`docs/operations/${chapter}.md has no section ${heading}`);
  return findCodeBlocks(section, 'sh');
}

export async function createFolder(stack: AsyncDisposableStack): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'parley-book-'));
  stack.defer(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Starts, stops or restarts a service, in place of systemd. */
type Systemctl = (verb: string, unit: string) => Promise<void>;

/** A shell with a `systemctl` that calls the function for each unit. It replaces texts of the book by those of the test. */
export async function openShell(
  stack: AsyncDisposableStack,
  systemctl: Systemctl,
  env: Readonly<Record<string, string>>,
  replacements: Readonly<Record<string, string>> = {},
): Promise<(commands?: string) => Promise<string>> {
  const folder = await createFolder(stack);
  const server = createServer((request, response) => {
    const [verb = '', ...units] = decodeURIComponent(request.url?.slice(1) ?? '').split(' ');
    const work = units.reduce(
      (previous, unit) => previous.then(() => systemctl(verb, unit)),
      Promise.resolve(),
    );
    work.then(
      () => response.end(),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const script = `#!${process.execPath}
    const response = await fetch('http://127.0.0.1:${port}/' + encodeURIComponent(process.argv.slice(2).join(' ')));
    if (!response.ok) throw new Error(await response.text());`;
  await mkdir(join(folder, 'bin'));
  await writeFile(join(folder, 'bin', 'package.json'), '{ "type": "module" }');
  await writeFile(join(folder, 'bin', 'systemctl'), script, { mode: 0o755 });
  return async (commands = '') => {
    const text = Object.entries({ '/opt/parley': ROOT, ...replacements }).reduce(
      (replaced, [from, to]) => replaced.replaceAll(from, to),
      commands,
    );
    const child = spawn('bash', ['-euo', 'pipefail', '-c', text], {
      env: {
        ...process.env,
        ...env,
        PATH: `${join(folder, 'bin')}:${env['PATH'] ?? process.env['PATH'] ?? ''}`,
      },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${text}\nended with ${code}: ${output}`);
    return output;
  };
}

export interface DeploymentOptions {
  /** The installation of the nodes. Default: this checkout. */
  readonly installation?: Installation;
  /** Handles `systemctl` for units other than those of PostgreSQL and of the nodes. */
  readonly systemctl?: Systemctl;
}

/** Two nodes on a PostgreSQL of this machine's packages, as the book installs them. */
export interface Deployment {
  readonly postgres: PostgresServer;
  readonly nodes: readonly [Server, Server];
  /** The folder that stands for /var/backups and /etc. */
  readonly folder: string;
  /** Runs commands of the book. Returns their output. */
  run(commands?: string): Promise<string>;
}

/** Starts the nodes. They log in to the database by password, as with the default of PostgreSQL. */
export async function startDeployment(
  stack: AsyncDisposableStack,
  settings: Readonly<Record<string, string>> = {},
  { installation, systemctl: further }: DeploymentOptions = {},
): Promise<Deployment> {
  const programs = requireProgram('postgresql');
  const postgres = stack.use(await startPostgres({ programs }));
  const folder = await createFolder(stack);
  const archive = await createFolder(stack);
  const file = join(folder, 'parley.env');
  const mediaDir = join(folder, 'media');
  const shared = {
    DATABASE_URL: `postgres://parley:first@127.0.0.1:${postgres.port}/parley`,
    ...(settings['MEDIA_S3_BUCKET'] === undefined && { MEDIA_DIR: mediaDir }),
  };
  const lines = Object.entries({
    ...shared,
    AUTH_SECRET: 'first-secret-of-the-book',
    DEMO: 'on',
    ...settings,
  });
  await writeFile(file, `${lines.map(([name, value]) => `${name}=${value}`).join('\n')}\n`);
  const openNode = async () => {
    const own: Record<string, string> = {};
    const server = stack.use(await prepareServer(own, installation));
    const start = async (): Promise<void> => {
      for (const name of Object.keys(own)) delete own[name];
      Object.assign(own, parseEnv(await readFile(file, 'utf8')));
      await server.start();
    };
    return { ...server, start };
  };
  const nodes = [await openNode(), await openNode()] as const;
  const systemctl: Systemctl = async (verb, unit) => {
    await further?.(verb, unit);
    if (unit === 'postgresql') await postgres[verb as 'start' | 'stop' | 'restart']();
    const affected = nodes.filter(({ port }) => unit === 'parley*' || unit === `parley@${port}`);
    for (const node of affected) {
      if (verb !== 'start') await node.stop('SIGTERM');
      if (verb !== 'stop') await node.start();
    }
  };
  const env = {
    ...shared,
    PATH: `${programs}:${process.env['PATH'] ?? ''}`,
    PGHOST: '127.0.0.1',
    PGPORT: String(postgres.port),
    PGUSER: 'postgres',
    AS_POSTGRES: '',
    OWNER: process.getuid?.() === 0 ? 'nobody' : String(process.getuid?.()),
    PGDATA: postgres.dataFolder,
    ARCHIVE: join(archive, 'wal'),
  };
  const replacements = {
    '/opt/parley': installation?.folder ?? ROOT,
    '/etc/': `${folder}/`,
    '/var/backups': folder,
    4001: String(nodes[0].port),
    4002: String(nodes[1].port),
  };
  // The archive belongs to the server.
  const run = await openShell(stack, systemctl, env, replacements);
  await run(`chmod 711 ${archive}
    psql --command="create role parley login createdb password 'first'"
    sed --in-place '1i host all +parley 127.0.0.1/32 scram-sha-256' "$PGDATA/pg_hba.conf"
    psql --command='select pg_reload_conf()'
    createdb --owner=parley parley
    mkdir ${mediaDir}`);
  for (const node of nodes) await node.start();
  return { postgres, nodes, folder, run };
}
