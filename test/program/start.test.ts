import { spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { VARIABLES } from '../../src/config-variables.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import type { DataFolder } from '../harness/data-folder.ts';
import {
  PROGRAM_ENV,
  ROOT,
  SERVER_COMMAND,
  SHELL_PATH,
  startProgram,
  waitUntilListening,
  waitForOutput,
} from '../harness/program.ts';
import type { Command } from '../harness/program.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';

// Starts the program in the ways that users do: npm, a shell, another folder, an old Node, an incomplete installation.

const NPM = ['npm', 'start'] as const;

let data: DataFolder;
beforeAll(async () => {
  data = await createDataFolder();
});
afterAll(() => data[Symbol.asyncDispose]());

const createEnvironment = () => ({
  ...PROGRAM_ENV,
  HOME: process.env['HOME'] ?? '',
  DATA_DIR: data.path,
  PORT: '0',
});

const startServer = (command: Command, env: Record<string, string> = {}) =>
  startProgram(command, { ...createEnvironment(), ...env });

const runCommand = ([command, ...args]: Command, env: Record<string, string> = {}) =>
  spawnSync(command, args, { cwd: ROOT, env: { ...createEnvironment(), ...env }, encoding: 'utf8' });

async function readChildPid({ pid }: ChildProcess): Promise<number> {
  return Number((await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim());
}

/** Copies the sources without installed packages. */
async function copyProject({ dereference = false } = {}) {
  const path = await mkdtemp(join(tmpdir(), 'parley-copy-'));
  for (const part of ['src', 'package.json', 'schema.graphql', 'asyncapi.yaml'])
    await cp(join(ROOT, part), join(path, part), {
      recursive: true,
      ...(dereference ? { dereference } : { verbatimSymlinks: true }),
    });
  if (!dereference) await mkdir(join(path, 'node_modules'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const parseLines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test.for([
  ['SIGTERM', 'node', SERVER_COMMAND],
  ['SIGINT', 'node', SERVER_COMMAND],
  ['SIGHUP', 'node', SERVER_COMMAND],
  ['SIGTERM', 'npm', NPM],
  ['SIGINT', 'npm', NPM],
  ['SIGTERM', 'the node that npm runs', NPM],
  ['SIGINT', 'both, as by Ctrl-C', NPM],
] as const)(
  '%s to %s closes sockets with 1012, exits with 0 and leaves no process',
  { timeout: 60_000 },
  async ([signal, receiver, command]) => {
    await using program = startServer(command);
    await using socket = await openGraphqlSocket(await waitUntilListening(program.child), {});
    const node = command === NPM ? await readChildPid(program.child) : (program.child.pid ?? 0);
    const startedAt = performance.now();
    if (receiver.startsWith('both')) program.signalGroup(signal);
    else if (receiver === 'npm') program.child.kill(signal);
    else process.kill(node, signal);
    expect(await socket.waitForClose()).toMatchObject({ code: 1012 });
    expect(await program.exited).toEqual([0, null]);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(() => process.kill(node, 0)).toThrow('ESRCH');
  },
);

test('a signal during startup exits with 0', async () => {
  await using program = startServer(SERVER_COMMAND, { LOG_LEVEL: 'silent' });
  // Signal handlers are installed once the process catches signals.
  const readCaughtSignals = async () =>
    BigInt(`0x${/SigCgt:\s+(\w+)/.exec(await readFile(`/proc/${program.child.pid}/status`, 'utf8'))?.[1]}`) &
    1n;
  await expect.poll(readCaughtSignals, { interval: 5, timeout: 10_000 }).toBe(1n);
  program.child.kill('SIGTERM');
  expect(await program.exited).toEqual([0, null]);
  expect(program.printed).toEqual({ stdout: '', stderr: '' });
}, 60_000);

test.for([
  ['info', { DATA_DIR: 'memory' }, /^embedded \(memory\)$/],
  ['silent', {}, /^embedded \(.*parley-data-/],
] as const)(
  'without a terminal, prints only JSON lines, of which the first is `listening`, at level %s',
  { timeout: 60_000 },
  async ([level, env, database]) => {
    await using program = startServer(SERVER_COMMAND, {
      ...env,
      LOG_LEVEL: level,
      DEMO: 'off',
      DATABSE_URL: 'postgres://',
    });
    const url = await waitUntilListening(program.child);
    program.child.kill('SIGTERM');
    await program.exited;
    const [first, ...others] = parseLines(program.printed.stdout);
    const { version } = JSON.parse(await readFile(`${ROOT}/package.json`, 'utf8')) as { version: string };
    expect(first).toEqual({
      level: 30,
      time: expect.any(String) as string,
      msg: 'listening',
      version,
      nodeId: expect.stringMatching(/^[\w-]{36}$/) as string,
      database: expect.stringMatching(database) as string,
      url,
      address: '127.0.0.1',
      port: Number(new URL(url).port),
    });
    expect(others.map(({ msg }) => msg)).toEqual(
      level === 'info'
        ? ['unknown setting, perhaps misspelt', expect.stringContaining('TURN_SECRET'), 'draining']
        : [],
    );
    expect(program.printed.stderr).toBe('');
  },
);

test('keeps serving after its output pipe is closed', async () => {
  await using program = startServer(SERVER_COMMAND, { LOG_LEVEL: 'debug' });
  const url = await waitUntilListening(program.child);
  program.child.stdout.destroy();
  program.child.stderr.destroy();
  {
    await using socket = await openGraphqlSocket(url, {});
    socket.send({ id: '1', type: 'subscribe', payload: { query: '{ webrtc { ttl } }' } });
  }
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  program.child.kill('SIGTERM');
  expect(await program.exited).toEqual([0, null]);
}, 60_000);

test('a failed start writes its buffered log lines to standard error', async () => {
  const otherServer = createServer().listen(0, '127.0.0.1');
  await once(otherServer, 'listening');
  const { port } = otherServer.address() as AddressInfo;
  await using program = startServer(SERVER_COMMAND, {
    HOST: '127.0.0.1',
    PORT: String(port),
    PARLEY_PROT: '1',
  });
  expect(await program.exited).toEqual([1, null]);
  otherServer.close();
  const { stdout, stderr } = program.printed;
  expect(stdout).toBe('');
  expect(stderr).toMatch(/"name":"PARLEY_PROT"[^]*(?:EADDRINUSE|already in use)/);
}, 60_000);

test.skipIf(isMissing('script'))(
  'prints a banner and human-readable lines to a terminal',
  async () => {
    await using program = startServer([requireProgram('script'), '-qefc', 'exec npm start', '/dev/null'], {
      TERM: 'xterm',
      LOG_LEVEL: 'debug',
    });
    await waitForOutput(program.child, /Parley is running\. {2}http:\S+\r?\n/);
    program.child.stdin.write('\u0003');
    expect(await program.exited).toEqual([0, null]);
    const { stdout } = program.printed;
    expect(stdout).toMatch(/Live demo +http/);
    expect(stdout).toMatch(/draining/);
    expect(stdout).not.toContain('{"');
  },
  60_000,
);

test.for([
  ['npm', 'start', '--silent', '--', '--help'],
  [...SERVER_COMMAND, '-h'],
] as const)('%s %s … prints every variable within 80 columns, without starting', ([command, ...args]) => {
  const { status, stdout, stderr } = runCommand([command, ...args], {
    PORT: 'none',
    DATABASE_URL: 'nowhere',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  for (const name of Object.keys(VARIABLES)) expect(stdout).toMatch(new RegExp(`^  ${name}$`, 'm'));
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
});

test('--version prints the version', async () => {
  const { version } = JSON.parse(await readFile(`${ROOT}/package.json`, 'utf8')) as { version: string };
  expect(runCommand(['npm', 'start', '--silent', '--', '--version'])).toMatchObject({
    status: 0,
    stdout: `${version}\n`,
  });
});

test.for([
  ['--port=5000', 'Unknown argument --port=5000. Settings are environment variables: PORT=5000 npm start\n'],
  ['serve', 'Unknown argument serve. Settings are environment variables; npm start -- --help lists them.\n'],
])('an unknown argument, %s, is rejected with a hint', ([argument = '', message]) => {
  expect(runCommand([...SERVER_COMMAND, argument])).toMatchObject({ status: 2, stdout: '', stderr: message });
  expect(runCommand(['npm', 'start', '--silent', '--', argument]).status).toBe(2);
});

/** Returns commands of Node versions that are too old: this one with a fake version, and the installed one if it is old. */
function listOldNodes(): Command[] {
  const claim = 'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"22.17.1"})';
  const installed =
    spawnSync('node', ['--version'], { env: { PATH: SHELL_PATH }, encoding: 'utf8' }).stdout?.trim() ?? '';
  const isOld = installed !== '' && Number.parseInt(installed.slice(1), 10) < 24;
  return [[process.execPath, '--import', claim], ...(isOld ? [['node'] as const] : [])];
}

test.for(listOldNodes())('an older Node prints one line with a hint: %s', (node) => {
  const { status, stdout, stderr } = runCommand([...node, 'src/main.ts']);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/^Parley needs Node 24, and this is Node [\d.]+: install Node 24, .*\n$/);
});

test.for(['zod', 'kysely'])(
  'a missing package, here %s, is reported in one line with a hint',
  async (name) => {
    await using copy = await copyProject();
    for (const installed of await readdir(join(ROOT, 'node_modules')))
      if (installed !== name)
        await symlink(join(ROOT, 'node_modules', installed), join(copy.path, 'node_modules', installed));
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(copy.path, 'src/main.ts')], {
      cwd: copy.path,
      env: createEnvironment(),
      encoding: 'utf8',
    });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toBe(
      `Parley is not installed completely: run npm ci, or npm install. (Cannot find package '${name}')\n`,
    );
  },
);

test('a copy of the project without symbolic links starts', async () => {
  await using copy = await copyProject({ dereference: true });
  await symlink(join(ROOT, 'node_modules'), join(copy.path, 'node_modules'));
  await using program = startProgram([process.execPath, 'src/main.ts'], createEnvironment(), copy.path);
  expect(await waitUntilListening(program.child)).toMatch(/^http:/);
}, 60_000);
