import { sql } from 'kysely';
import { SignJWT } from 'jose';
import { expect, test } from 'vitest';
import type { Session } from '../../src/actor.ts';
import * as accounts from '../../src/domain/accounts.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { provisionUser } from '../../src/domain/provisioning.ts';
import { followSession } from '../../src/domain/sessions.ts';
import type { EndReason } from '../../src/errors.ts';
import { SECRET, createTestDeps } from '../harness/deps.ts';
import { ANN, readErrorCode } from '../harness/domain-fixtures.ts';

const NEXT = 'the next one';

const codeOf = (deps: Deps, token: string): Promise<string | undefined> =>
  readErrorCode(accounts.authenticate(deps, token));

const logIn = async (deps: Deps, password = ANN.password): Promise<{ token: string; session: Session }> => {
  const { token } = await accounts.login(deps, { email: ANN.email, password });
  return { token, session: await accounts.authenticate(deps, token) };
};

/** Signs a token as versions without families and generations did. */
const signFormerToken = (id: number, issuedAt: number): Promise<string> =>
  new SignJWT({ kind: 'user' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(String(id))
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + 24 * 3600)
    .sign(Buffer.from(SECRET));

const nowSeconds = (): number => Math.floor(Date.now() / 1000);

/** Makes all tokens look as if they had been refreshed two minutes ago. */
const passGrace = async ({ db }: Deps): Promise<void> =>
  void (await sql`update refreshed_tokens set refreshed_at = refreshed_at - interval '2 minutes'`.execute(
    db,
  ));

test('a change of the password ends every session but the one that made it', async () => {
  await using deps = await createTestDeps();
  const { user } = await accounts.createAccount(deps, ANN);
  const [thief, owner] = [await logIn(deps), await logIn(deps)];
  const former = await signFormerToken(user.id, nowSeconds());
  const ends: (readonly [string, EndReason])[] = [];
  const thiefEnd = Promise.withResolvers<EndReason>();
  await followSession(deps, thief.session, thiefEnd.resolve);
  const unfollow = await followSession(deps, owner.session, (reason) => ends.push(['owner', reason]));
  expect(await codeOf(deps, former)).toBe('done');

  await accounts.changePassword(deps, owner.session, { current: ANN.password, next: NEXT });
  expect(await codeOf(deps, owner.token)).toBe('done');
  expect(await codeOf(deps, thief.token)).toBe('UNAUTHENTICATED');
  expect(await codeOf(deps, former)).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.refreshToken(deps, thief.session))).toBe('UNAUTHENTICATED');
  expect(await thiefEnd.promise).toBe('LOGGED_OUT');

  // Of the same second, but later.
  const later = await logIn(deps, NEXT);
  const refreshed = await accounts.refreshToken(deps, owner.session);
  for (const token of [later.token, refreshed.token]) expect(await codeOf(deps, token)).toBe('done');
  expect(ends).toEqual([]);
  unfollow();
});

test('the token that was kept at a change of the password ends at the next one', async () => {
  await using deps = await createTestDeps();
  await accounts.createAccount(deps, ANN);
  const first = await logIn(deps);
  await accounts.changePassword(deps, first.session, { current: ANN.password, next: NEXT });
  const second = await logIn(deps, NEXT);
  await accounts.changePassword(deps, second.session, { current: NEXT, next: ANN.password });
  expect(await codeOf(deps, first.token)).toBe('UNAUTHENTICATED');
  expect(await codeOf(deps, second.token)).toBe('done');
});

test('logoutEverywhere ends all sessions, and later logins are valid immediately', async () => {
  await using deps = await createTestDeps();
  await accounts.createAccount(deps, ANN);
  const [first, second] = [await logIn(deps), await logIn(deps)];
  const ended = [first, second].map(async ({ session }) => {
    const { promise, resolve } = Promise.withResolvers<EndReason>();
    await followSession(deps, session, resolve);
    return { promise };
  });
  const ends = await Promise.all(ended);
  await accounts.logoutEverywhere(deps, first.session);
  expect(await Promise.all(ends.map(({ promise }) => promise))).toEqual(['LOGGED_OUT', 'LOGGED_OUT']);
  for (const { token } of [first, second]) expect(await codeOf(deps, token)).toBe('UNAUTHENTICATED');
  const { token } = await logIn(deps);
  expect(await codeOf(deps, token)).toBe('done');
});

test('a refreshed token ends when its login does, and a login has an absolute life', async () => {
  await using deps = await createTestDeps();
  const { user } = await accounts.createAccount(deps, ANN);
  const actor = { kind: 'user', id: user.id } as const;
  const endsAt = 1000 * (nowSeconds() + 3600);
  const { token } = await deps.tokens.issue(actor, { family: { id: 'family:1', endsAt } });
  const session = await accounts.authenticate(deps, token);
  const refreshed = await accounts.authenticate(deps, (await accounts.refreshToken(deps, session)).token);
  expect(refreshed).toMatchObject({ family: { id: 'family:1', endsAt }, expiresAt: endsAt });
  const { session: whole } = await logIn(deps);
  expect((whole.family?.endsAt ?? 0) - Date.now()).toBeGreaterThan(29 * 24 * 3_600_000);
  expect((whole.family?.endsAt ?? 0) - Date.now()).toBeLessThanOrEqual(30 * 24 * 3_600_000);
});

test('a token that is refreshed again after a minute ends all tokens of its login', async () => {
  await using deps = await createTestDeps();
  const { user } = await accounts.createAccount(deps, ANN);
  const other = await logIn(deps);
  const login = await logIn(deps);
  const former = await signFormerToken(user.id, nowSeconds() - 60);
  for (const token of [login.token, former]) {
    const session = await accounts.authenticate(deps, token);
    const [first, second] = [
      await accounts.refreshToken(deps, session),
      await accounts.refreshToken(deps, session),
    ];
    const ofThief = await accounts.refreshToken(deps, await accounts.authenticate(deps, first.token));
    for (const refreshed of [first, second, ofThief])
      expect(await codeOf(deps, refreshed.token)).toBe('done');
    const { promise, resolve } = Promise.withResolvers<EndReason>();
    await followSession(deps, await accounts.authenticate(deps, ofThief.token), resolve);

    await passGrace(deps);
    expect(await readErrorCode(accounts.refreshToken(deps, session))).toBe('UNAUTHENTICATED');
    for (const ended of [token, first.token, second.token, ofThief.token])
      expect(await codeOf(deps, ended)).toBe('UNAUTHENTICATED');
    expect(await promise).toBe('LOGGED_OUT');
  }
  expect(await codeOf(deps, other.token)).toBe('done');
});

test('an external token from before the deletion of its account does not bring it back', async () => {
  await using deps = await createTestDeps();
  const identity = {
    subject: 'issuer ann',
    email: 'ann@example.com',
    emailVerified: true,
    firstName: 'Ann',
    lastName: '',
    birthday: null,
  };
  const provision = (tokenId: string, issuedAt: number | null) =>
    provisionUser(deps, identity, { tokenId, issuedAt });
  const past = Date.now() - 60_000;
  const id = await provision('first', past);
  const session = {
    actor: { kind: 'user', id },
    tokenId: 'first',
    issuedAt: past,
    expiresAt: Date.now() + 60_000,
  } as const;
  await accounts.deleteAccount(deps, session, { password: '' });
  for (const [tokenId, issuedAt] of [
    ['first', past],
    ['second', past + 1_000],
    ['third', null],
  ] as const)
    expect(await readErrorCode(provision(tokenId, issuedAt))).toBe('UNAUTHENTICATED');
  // The clock of the provider is ahead: the token that deleted the account is void anyway.
  expect(await readErrorCode(provision('first', Date.now() + 2_000))).toBe('UNAUTHENTICATED');

  const later = Date.now() + 5_000;
  const newId = await provision('fourth', later);
  expect(newId).not.toBe(id);
  expect(await provision('fifth', later)).toBe(newId);
  expect(await readErrorCode(provision('second', past + 1_000))).toBe('UNAUTHENTICATED');
  const rows = await sql<{ text: string }>`select d::text as text from deleted_subjects d`.execute(deps.db);
  expect(JSON.stringify(rows.rows)).not.toContain('ann');
});
