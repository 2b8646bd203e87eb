import { scryptSync } from 'node:crypto';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import * as accounts from '../../src/domain/accounts.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { DomainError } from '../../src/errors.ts';
import { createLoginAttempts } from '../../src/services/login-attempts.ts';
import { createTestDeps } from '../harness/deps.ts';
import { ANN, createCircle, createUser, readErrorCode } from '../harness/domain-fixtures.ts';
import * as devices from '../../src/domain/devices.ts';

const HOME = { address: '192.0.2.1' };
const ELSEWHERE = { address: '198.51.100.7' };

let guessCount = 0;

/** Sends wrong passwords, all different. Returns the codes of the responses. */
async function guess(
  deps: Deps,
  email: string,
  client: accounts.Client,
  times: number,
): Promise<(string | undefined)[]> {
  const codes: (string | undefined)[] = [];
  for (let round = 0; round < times; round += 1) {
    guessCount += 1;
    codes.push(await readErrorCode(accounts.login(deps, { email, password: `wrong ${guessCount}` }, client)));
  }
  return codes;
}

/** Makes the delays that have begun so long that none ends during a test. */
const lengthenDelays = async ({ db }: Deps): Promise<void> =>
  void (await db.updateTable('loginFailures').set({ failures: 100 }).where('failures', '>=', 10).execute());

/** Returns the delay that the response to one more guess names. */
async function readRetryAfter(deps: Deps, email: string, client: accounts.Client): Promise<number> {
  try {
    await accounts.login(deps, { email, password: 'one more guess' }, client);
  } catch (error) {
    if (error instanceof DomainError && error.code === 'RATE_LIMITED') return error.details.retryAfterMs ?? 0;
    throw error;
  }
  throw new Error('The guess was right.');
}

/** Creates the services of another node with the same database. */
const createOtherNode = (deps: Deps): Deps => ({
  ...deps,
  loginAttempts: createLoginAttempts({ ...deps, enabled: true }),
});

const logIn = (deps: Deps, client: accounts.Client): Promise<string | undefined> =>
  readErrorCode(accounts.login(deps, ANN, client));

test('after ten guesses an address has to wait ever longer, whether the name has an account or not', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  await accounts.createAccount(deps, ANN, HOME);
  for (const email of [ANN.email, 'nobody@example.com']) {
    const client = { address: `198.51.100.${email.length}` };
    const codes = await guess(deps, email, client, 10);
    expect(new Set(codes)).toEqual(new Set(['UNAUTHENTICATED']));
    expect(await readRetryAfter(deps, email, client)).toBeLessThanOrEqual(1_000);
    await deps.db.updateTable('loginFailures').set({ failures: 14 }).where('failures', '=', 10).execute();
    // Another node, which does not know the delay yet.
    expect(await readRetryAfter(createOtherNode(deps), email, client)).toBeGreaterThan(10_000);
  }
});

test('an attack from elsewhere, or from the same address on other names, keeps no owner out', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  await accounts.createAccount(deps, ANN, HOME);
  expect(await guess(deps, ANN.email, ELSEWHERE, 15)).toContain('RATE_LIMITED');
  const names = await Promise.all(
    Array.from({ length: 60 }, (_, index) => guess(deps, `nobody${index}@example.com`, HOME, 1)),
  );
  expect(names.flat()).toContain('RATE_LIMITED');
  await lengthenDelays(deps);
  expect(await logIn(deps, HOME)).toBe('done');
  expect(await logIn(deps, ELSEWHERE)).toBe('RATE_LIMITED');
});

test('a client with a token of the account is known wherever it is, even if the token is revoked', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  const { token } = await accounts.createAccount(deps, ANN, HOME);
  const session = await accounts.authenticate(deps, token);
  await accounts.logoutEverywhere(deps, session);
  expect(await guess(deps, ANN.email, ELSEWHERE, 15)).toContain('RATE_LIMITED');
  expect(await logIn(deps, { ...ELSEWHERE, presentedToken: token })).toBe('done');
  expect(await logIn(deps, { ...ELSEWHERE, session })).toBe('done');
  // A token of another account, and one that was not signed here, are none of this account.
  const bob = await accounts.createAccount(deps, { ...ANN, email: 'bob@example.com' }, HOME);
  for (const presentedToken of [bob.token, `${token.slice(0, -10)}AAAAAAAAAA`, 'x'])
    expect(await logIn(deps, { address: '198.51.100.9', presentedToken })).toBe('done');
  await guess(deps, ANN.email, { address: '198.51.100.8' }, 15);
  await lengthenDelays(deps);
  for (const presentedToken of [bob.token, `${token.slice(0, -10)}AAAAAAAAAA`, 'x'])
    expect(await logIn(deps, { address: '198.51.100.8', presentedToken })).toBe('RATE_LIMITED');
});

test('failures are counted for all nodes, and one repeated password only once', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  await accounts.createAccount(deps, ANN, HOME);
  const other = createOtherNode(deps);
  for (let round = 0; round < 30; round += 1)
    expect(await readErrorCode(accounts.login(deps, { ...ANN, password: 'always this' }, ELSEWHERE))).toBe(
      'UNAUTHENTICATED',
    );
  expect(await guess(deps, ANN.email, ELSEWHERE, 5)).not.toContain('RATE_LIMITED');
  await guess(other, ANN.email, ELSEWHERE, 4);
  await lengthenDelays(deps);
  expect(await guess(other, ANN.email, ELSEWHERE, 1)).toEqual(['RATE_LIMITED']);
  expect(await logIn(deps, ELSEWHERE)).toBe('RATE_LIMITED');
});

test('concurrent guesses of one client do not escape the delay', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  await accounts.createAccount(deps, ANN, HOME);
  const codes = await Promise.all(Array.from({ length: 40 }, () => guess(deps, ANN.email, ELSEWHERE, 1)));
  // Fewer when some find the queue of their address full.
  const checked = codes.flat().filter((code) => code === 'UNAUTHENTICATED').length;
  expect(checked).toBeGreaterThan(0);
  expect(checked).toBeLessThanOrEqual(10);
  expect(codes.flat().filter((code) => code === 'RATE_LIMITED')).toHaveLength(40 - checked);
});

test('spraying one password over many accounts is limited by address', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  const codes: (string | undefined)[] = [];
  for (let index = 0; index < 40; index += 1)
    codes.push(...(await guess(deps, `nobody${index}@example.com`, ELSEWHERE, 1)));
  expect(codes.slice(0, 30)).not.toContain('RATE_LIMITED');
  expect(codes.slice(30)).toContain('RATE_LIMITED');
});

test('a delay is over when the clock of the database was set back, and the next failure begins another', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  await accounts.createAccount(deps, ANN, HOME);
  await guess(deps, ANN.email, ELSEWHERE, 10);
  await lengthenDelays(deps);
  await sql`update login_failures set last_at = clock_timestamp() + interval '1 hour'`.execute(deps.db);
  expect(await guess(deps, ANN.email, ELSEWHERE, 2)).toEqual(['UNAUTHENTICATED', 'RATE_LIMITED']);
});

test('a failure whose time was rounded up delays no further guess', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  await guess(deps, 'unknown@example.com', ELSEWHERE, 1);
  await sql`update login_failures set last_at = clock_timestamp() + interval '400 ms'`.execute(deps.db);
  expect(await guess(deps, 'unknown@example.com', ELSEWHERE, 1)).toEqual(['UNAUTHENTICATED']);
});

test('devices are limited like users', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  const ann = await createUser(deps, 'ann');
  const { id: circleId } = await createCircle(deps, ann);
  const { username, password } = await devices.addDevice(deps, ann.actor, { circleId, name: 'Lamp' });
  expect(await readErrorCode(accounts.loginDevice(deps, { username, password }, HOME))).toBe('done');
  for (let round = 0; round < 11; round += 1)
    await readErrorCode(accounts.loginDevice(deps, { username, password: `wrong ${round}` }, ELSEWHERE));
  await lengthenDelays(deps);
  expect(await readErrorCode(accounts.loginDevice(deps, { username, password }, ELSEWHERE))).toBe(
    'RATE_LIMITED',
  );
  expect(await readErrorCode(accounts.loginDevice(deps, { username, password }, HOME))).toBe('done');
});

test('a scrypt hash is replaced at the next login', async () => {
  await using deps = await createTestDeps();
  const { user } = await accounts.createAccount(deps, ANN);
  const salt = Buffer.alloc(16, 1);
  const key = scryptSync('old', salt, 32, { N: 2 ** 10, r: 8, p: 1 });
  const former = `scrypt$10$8$1$${salt.toString('base64url')}$${key.toString('base64url')}`;
  await deps.db.updateTable('users').set({ passwordHash: former }).where('id', '=', user.id).execute();
  const readHash = async (): Promise<string | null | undefined> =>
    (await deps.db.selectFrom('users').select('passwordHash').executeTakeFirst())?.passwordHash;
  expect(await readErrorCode(accounts.login(deps, { ...ANN, password: 'new' }))).toBe('UNAUTHENTICATED');
  expect(await readHash()).toBe(former);
  for (let round = 0; round < 2; round += 1) {
    expect(await readErrorCode(accounts.login(deps, { ...ANN, password: 'old' }))).toBe('done');
    expect(await readHash()).toMatch(/^\$argon2id\$/);
  }
});

test('sign-ups of one address are limited, and others can sign up meanwhile', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  const signUp = (index: number, client: accounts.Client): Promise<string | undefined> =>
    readErrorCode(accounts.signUp(deps, { ...ANN, email: `user${index}@example.com` }, client));
  const codes: (string | undefined)[] = [];
  for (let index = 0; index < 65; index += 1) codes.push(await signUp(index, ELSEWHERE));
  expect(codes.slice(0, 50)).not.toContain('RATE_LIMITED');
  expect(codes.at(-1)).toBe('RATE_LIMITED');
  expect(await signUp(100, HOME)).toBe('done');
});
