// Measures what an honest client notices, and what the process holds, while strangers and accounts attack the server.
// `node bench/attacks.ts [NAME...]`; ATTACK_SECONDS (25) is the duration of each, and ATTACK_NODES (1) the number of nodes,
// each with an attacker. The honest client uses the last one. Each attack has a PostgreSQL of its own, or with
// ATTACK_DATABASE=embedded the embedded database. `first` is what the client notices while the attacker connects, `attacked`
// afterwards; with ATTACK_BESIDE=1, `beside` is what it notices while bare servers are attacked instead of the nodes: what the
// attack costs the machine.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startPostgres } from '../test/harness/postgres.ts';
import { percentile, startPeer } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { print, startServer } from './server.ts';
import type { Server } from './server.ts';

const ATTACKER = new URL('attacker.ts', import.meta.url).pathname;
const SECONDS = Number(process.env['ATTACK_SECONDS'] ?? 25);
const NODES = Number(process.env['ATTACK_NODES'] ?? 1);
const IS_EMBEDDED = process.env['ATTACK_DATABASE'] === 'embedded';
const COMPARES_MACHINE = process.env['ATTACK_BESIDE'] === '1';
const WARM_UP_SECONDS = 3;
const QUIET_SECONDS = 5;
/** The attacker connects within this time. */
const FIRST_SECONDS = 5;
const PASSWORD = 'an honest password';
const PROBE_INTERVAL_MS = 50;
const LOGIN_INTERVAL_MS = 1_000;
const ATTACKING_ACCOUNTS = 12;

const agent = new Agent({ keepAlive: true });

interface Reply {
  readonly data?: { readonly token?: { readonly token: string } } | null;
  readonly errors?: readonly { readonly extensions?: { readonly code?: string } }[];
}

async function post(url: string, query: string, token?: string): Promise<Reply> {
  const request = httpRequest(`${url}/graphql`, {
    method: 'POST',
    agent,
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
  });
  request.end(JSON.stringify({ query }));
  const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer>];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString()) as Reply;
}

async function signUp(url: string, email: string): Promise<string> {
  const reply = await post(
    url,
    `mutation { token: createAccount(input: { email: "${email}", password: "${PASSWORD}", firstName: "A", lastName: "B" }) { token } }`,
  );
  const token = reply.data?.token?.token;
  if (token === undefined) throw new Error(`No account was created: ${JSON.stringify(reply)}`);
  return token;
}

interface Honest {
  readonly latencies: number[];
  readonly logins: number[];
  failedRequests: number;
  failedLogins: number;
}

/** Runs an honest client and honest logins for a time. */
async function runHonest(url: string, token: string, seconds: number): Promise<Honest> {
  const honest: Honest = { latencies: [], logins: [], failedRequests: 0, failedLogins: 0 };
  const endsAt = performance.now() + seconds * 1000;
  const pending: Promise<void>[] = [];
  const query = async (): Promise<void> => {
    const startedAt = performance.now();
    const reply = await post(url, '{ me { __typename } }', token).catch(() => undefined);
    honest.latencies.push(performance.now() - startedAt);
    if (reply?.errors !== undefined || reply === undefined) honest.failedRequests += 1;
  };
  const login = async (): Promise<void> => {
    const startedAt = performance.now();
    const mutation = `mutation { token: login(email: "honest@example.com", password: "${PASSWORD}") { token } }`;
    const reply = await post(url, mutation).catch(() => undefined);
    honest.logins.push(performance.now() - startedAt);
    if (reply?.data?.token === undefined) honest.failedLogins += 1;
  };
  for (let round = 0; performance.now() < endsAt; round += 1) {
    pending.push(query());
    if ((round * PROBE_INTERVAL_MS) % LOGIN_INTERVAL_MS === 0) pending.push(login());
    await sleep(PROBE_INTERVAL_MS);
  }
  await Promise.all(pending);
  return honest;
}

const p99 = ({ latencies }: Honest): number =>
  percentile(
    latencies.toSorted((a, b) => a - b),
    0.99,
  );

/** Runs work while each server is attacked. */
async function underAttack<Result>(
  urls: readonly string[],
  name: string,
  tokens: readonly string[],
  work: () => Promise<Result>,
): Promise<Result> {
  const attackers = urls.map((url) =>
    spawn(process.execPath, [ATTACKER, name, url, ...tokens], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    }),
  );
  const exits = attackers.map((attacker) => once(attacker, 'exit'));
  const result = await work();
  for (const attacker of attackers) attacker.kill('SIGKILL');
  await Promise.all(exits);
  return result;
}

/** Runs work while as many bare servers as there are nodes are attacked: what the attack costs the machine. */
async function measureBeside(
  nodes: readonly Server[],
  name: string,
  tokens: readonly string[],
  work: () => Promise<Honest>,
): Promise<Honest> {
  await using stack = new AsyncDisposableStack();
  const peers = await Promise.all(nodes.map(async () => stack.use(await startPeer('refusing'))));
  const urls = peers.map(({ port }) => `http://127.0.0.1:${port}`);
  return await underAttack(urls, name, tokens, work);
}

async function measureAttack(nodes: readonly Server[], name: string): Promise<Row> {
  const url = nodes.at(-1)?.url ?? '';
  const honestToken = await signUp(url, 'honest@example.com');
  const tokens: string[] = [];
  for (let index = 0; index < ATTACKING_ACCOUNTS; index += 1)
    tokens.push(await signUp(url, `attacker${index}@example.com`));
  const run = (seconds: number): Promise<Honest> => runHonest(url, honestToken, seconds);
  await run(WARM_UP_SECONDS);
  const quiet = await run(QUIET_SECONDS);
  const beside = COMPARES_MACHINE
    ? await measureBeside(nodes, name, tokens, () => run(SECONDS - FIRST_SECONDS))
    : undefined;
  const rest = await readMemory(nodes);
  const urls = nodes.map((node) => node.url);
  const { first, attacked, held } = await underAttack(urls, name, tokens, async () => ({
    first: await run(FIRST_SECONDS),
    attacked: await run(SECONDS - FIRST_SECONDS),
    held: await readMemory(nodes),
  }));
  await sleep(2_000);
  const after = await readMemory(nodes);
  const mostMb = (a: readonly number[], b: readonly number[]): number =>
    Math.max(...a.map((bytes, index) => bytes - (b[index] ?? 0))) / 1024 / 1024;
  return {
    attack: name,
    quietP99Ms: p99(quiet),
    ...(beside !== undefined && { besideP99Ms: p99(beside) }),
    firstP99Ms: p99(first),
    attackedP99Ms: p99(attacked),
    toQuiet: p99(attacked) / p99(quiet),
    failedRequests: first.failedRequests + attacked.failedRequests,
    slowestLoginMs: Math.max(...first.logins, ...attacked.logins),
    failedLogins: first.failedLogins + attacked.failedLogins,
    heldMb: mostMb(held.used, rest.used),
    residentMb: mostMb(held.resident, rest.resident),
    heldAfterMb: mostMb(after.used, rest.used),
  };
}

async function readMemory(nodes: readonly Server[]) {
  const memories = await Promise.all(nodes.map(({ probe }) => probe.memory()));
  return {
    used: memories.map(({ used }) => used),
    resident: memories.map(({ resident }) => resident),
  };
}

const { stdout } = await promisify(execFile)(process.execPath, [ATTACKER, '--list']);
const wanted = process.argv.slice(2);
const names = stdout
  .trim()
  .split('\n')
  .filter((name) => wanted.length === 0 || wanted.includes(name));
print(`Each attack for ${SECONDS} s, with one honest client of 20 requests a second and a login a second\n`);
const COLUMNS = {
  quietP99Ms: 'p99 quiet',
  ...(COMPARES_MACHINE && { besideP99Ms: 'beside' }),
  firstP99Ms: 'first',
  attackedP99Ms: 'attacked',
  toQuiet: 'to quiet',
  failedRequests: 'failed',
  slowestLoginMs: 'login max',
  failedLogins: 'failed',
  heldMb: 'held MB',
  residentMb: 'resident',
  heldAfterMb: 'after',
};
const printLine = (name: string, cells: readonly string[]): void =>
  print(`${name.padEnd(28)}${cells.map((cell) => cell.padStart(11)).join('')}`);
printLine('attack', Object.values(COLUMNS));
const rows: Row[] = [];
for (const name of names) {
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-attacks-'));
  try {
    await using stack = new AsyncDisposableStack();
    const secret = randomBytes(32).toString('hex');
    const database = IS_EMBEDDED ? undefined : stack.use(await startPostgres({ durable: true }));
    const settings = {
      RATE_LIMITS: 'on',
      LOG_LEVEL: 'error',
      AUTH_SECRET: secret,
      ...(database !== undefined && { DATABASE_URL: database.url }),
    };
    const nodes: Server[] = [];
    while (nodes.length < NODES) nodes.push(stack.use(await startServer(dataDir, settings)));
    const row = await measureAttack(nodes, name);
    rows.push(row);
    printLine(
      name,
      Object.keys(COLUMNS).map((column) => Number(row[column]).toFixed(column === 'toQuiet' ? 1 : 0)),
    );
  } catch (error) {
    process.exitCode = 1;
    print(`${name.padEnd(28)} the server failed: ${String(error)}`);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}
if (wanted.length === 0) await record('attacks', rows);
