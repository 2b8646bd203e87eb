import { expect, test } from 'vitest';
import type { Session } from '../../src/actor.ts';
import { findBySubject } from '../../src/db/external-subjects.ts';
import * as accounts from '../../src/domain/accounts.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { provisionUser } from '../../src/domain/provisioning.ts';
import { createTestDeps } from '../harness/deps.ts';
import { ANN, readErrorCode } from '../harness/domain-fixtures.ts';
import { indexes } from '../harness/numbers.ts';

// The check of a password takes long: what commits meanwhile must count.

const CHANGE = { current: ANN.password, next: 'the next one' };
const CHANGE_OF_THIEF = { current: ANN.password, next: 'known to the thief' };

const logIn = async (deps: Deps): Promise<Session> => {
  const { token } = await accounts.login(deps, ANN);
  return accounts.authenticate(deps, token);
};

/** Returns dependencies with which the work runs once, after the next password was found to be right. */
function afterCheck(deps: Deps, work: () => Promise<unknown>): Deps {
  let isDone = false;
  return {
    ...deps,
    passwords: {
      ...deps.passwords,
      async verify(...args) {
        const isRight = await deps.passwords.verify(...args);
        if (!isDone) {
          isDone = true;
          await work();
        }
        return isRight;
      },
    },
  };
}

const canLogIn = async (deps: Deps, password: string): Promise<boolean> =>
  (await readErrorCode(accounts.login(deps, { ...ANN, password }))) === 'done';

test('a change of the password that another session began before is refused', async () => {
  await using deps = await createTestDeps();
  await accounts.createAccount(deps, ANN);
  const [owner, thief] = [await logIn(deps), await logIn(deps)];
  const late = afterCheck(deps, () => accounts.changePassword(deps, owner, CHANGE));
  expect(await readErrorCode(accounts.changePassword(late, thief, CHANGE_OF_THIEF))).toBe('UNAUTHENTICATED');
  expect([await canLogIn(deps, CHANGE.next), await canLogIn(deps, CHANGE_OF_THIEF.next)]).toEqual([
    true,
    false,
  ]);
});

test('of two changes of the password by one token, the second must know the new password', async () => {
  await using deps = await createTestDeps();
  await accounts.createAccount(deps, ANN);
  const session = await logIn(deps);
  const late = afterCheck(deps, () => accounts.changePassword(deps, session, CHANGE));
  expect(await readErrorCode(accounts.changePassword(late, session, CHANGE_OF_THIEF))).toBe('FORBIDDEN');
  expect(await canLogIn(deps, CHANGE.next)).toBe(true);
});

test('a deletion of the account that began before a change of the password is refused', async () => {
  await using deps = await createTestDeps();
  await accounts.createAccount(deps, ANN);
  const [owner, thief] = [await logIn(deps), await logIn(deps)];
  const late = afterCheck(deps, () => accounts.changePassword(deps, owner, CHANGE));
  expect(await readErrorCode(accounts.deleteAccount(late, thief, ANN))).toBe('UNAUTHENTICATED');
  const later = afterCheck(deps, () =>
    accounts.changePassword(deps, owner, { current: CHANGE.next, next: ANN.password }),
  );
  expect(await readErrorCode(accounts.deleteAccount(later, owner, { password: CHANGE.next }))).toBe(
    'FORBIDDEN',
  );
  expect(await canLogIn(deps, ANN.password)).toBe(true);
});

test('an account that its owner takes over keeps no password that someone else sets meanwhile', async () => {
  await using deps = await createTestDeps();
  const identity = { ...ANN, subject: 'issuer ann', emailVerified: true };
  const issuedAt = Date.now();
  const { user } = await accounts.createAccount(deps, ANN);
  const squatter = await logIn(deps);
  const takeOver = () => provisionUser(deps, identity, { tokenId: 'external', issuedAt });
  const late = afterCheck(deps, takeOver);
  expect(await readErrorCode(accounts.changePassword(late, squatter, CHANGE_OF_THIEF))).toBe(
    'UNAUTHENTICATED',
  );
  expect(await canLogIn(deps, CHANGE_OF_THIEF.next)).toBe(false);
  expect(await takeOver()).toBe(user.id);
});

test('changes of the password and a takeover of the account, concurrently, leave it to its owner', async () => {
  await using deps = await createTestDeps();
  for (let round = 0; round < 10; round += 1) {
    const account = { ...ANN, email: `ann${round}@example.com` };
    const { token } = await accounts.createAccount(deps, account);
    const squatter = await accounts.authenticate(deps, token);
    const identity = { ...account, subject: `issuer ${round}`, emailVerified: true };
    const [, change] = await Promise.all([
      provisionUser(deps, identity, { tokenId: 'external', issuedAt: Date.now() }),
      readErrorCode(accounts.changePassword(deps, squatter, CHANGE_OF_THIEF)),
    ]);
    expect(['done', 'UNAUTHENTICATED', 'FORBIDDEN']).toContain(change);
    const login = { email: account.email, password: CHANGE_OF_THIEF.next };
    expect(await readErrorCode(accounts.login(deps, login))).toBe('UNAUTHENTICATED');
  }
});

test('a login that ends after the deletion of its account leaves nothing of it', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  await accounts.createAccount(deps, ANN);
  const session = await logIn(deps);
  const late = afterCheck(deps, () => accounts.deleteAccount(deps, session, ANN));
  await readErrorCode(accounts.login(late, ANN, { address: '192.0.2.1' }));
  expect(await deps.db.selectFrom('knownClients').selectAll().execute()).toEqual([]);
});

test('concurrent first logins of an external user send one mail', async () => {
  const { config, ...rest } = await createTestDeps();
  const mails: unknown[] = [];
  await using deps = {
    ...rest,
    config: { ...config, MAIL_URL: 'http://127.0.0.1' },
    mailer: { send: (mail: unknown) => void mails.push(mail), [Symbol.asyncDispose]: async () => undefined },
  };
  const identity = { ...ANN, subject: 'issuer ann', emailVerified: false };
  const provision = (tokenId: number) =>
    provisionUser(deps, identity, { tokenId: `external ${tokenId}`, issuedAt: Date.now() });
  const ids = await Promise.all(indexes(5).map(provision));
  expect(new Set(ids).size).toBe(1);
  expect(mails).toHaveLength(1);
});

test('an external token that is used during the deletion of its account does not bring it back', async () => {
  await using deps = await createTestDeps();
  const issuedAt = Date.now() - 60_000;
  for (const round of indexes(20)) {
    const identity = {
      ...ANN,
      email: `ann${round}@example.com`,
      subject: `issuer ${round}`,
      emailVerified: true,
    };
    const provision = (tokenId: string) => provisionUser(deps, identity, { tokenId, issuedAt });
    const id = await provision('first');
    const actor = { kind: 'user', id } as const;
    const session = {
      actor,
      tokenId: `token ${round}`,
      issuedAt,
      expiresAt: Date.now() + 60_000,
      isExternal: true,
    };
    await Promise.all([
      accounts.deleteAccount(deps, session, { password: '' }),
      ...indexes(8).map((index) => readErrorCode(provision(`other ${index}`))),
    ]);
    expect(await findBySubject(deps.db, identity.subject)).toBeUndefined();
  }
});

test('concurrent first logins of an external user with different e-mails have one account', async () => {
  await using deps = await createTestDeps();
  for (const round of indexes(10)) {
    const account = { ...ANN, email: `ann${round}@example.com` };
    await accounts.createAccount(deps, account);
    const ids = await Promise.all(
      [account.email, `new${round}@example.com`].map((email) => {
        const identity = { ...ANN, email, subject: `issuer ${round}`, emailVerified: true };
        return provisionUser(deps, identity, { tokenId: 'external', issuedAt: Date.now() });
      }),
    );
    expect(new Set(ids).size).toBe(1);
  }
});
