import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { ActorRef, Session } from '../../src/actor.ts';
import * as control from '../../src/domain/account-control.ts';
import * as accounts from '../../src/domain/accounts.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as devices from '../../src/domain/devices.ts';
import { provisionUser } from '../../src/domain/provisioning.ts';
import { followSession } from '../../src/domain/sessions.ts';
import type { EndReason } from '../../src/errors.ts';
import { sweep } from '../../src/services/retention.ts';
import { createTestDeps } from '../harness/deps.ts';
import { ANN, createCircle, createUsers, readErrorCode } from '../harness/domain-fixtures.ts';
import { indexes } from '../harness/numbers.ts';

const FOREVER = { until: null, reason: 'spam' };

const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();

const createAnn = async (deps: Deps): Promise<ActorRef> => {
  const { user } = await accounts.createAccount(deps, ANN);
  return { kind: 'user', id: user.id };
};

const logIn = async (deps: Deps): Promise<{ token: string; session: Session }> => {
  const { token } = await accounts.login(deps, ANN);
  return { token, session: await accounts.authenticate(deps, token) };
};

/** Issues a token that no end of sessions has made invalid. */
const issueCurrent = async (deps: Deps, actor: ActorRef): Promise<string> =>
  (await deps.tokens.issue(actor, { generation: 1_000 })).token;

const codeOf = (deps: Deps, token: string): Promise<string | undefined> =>
  readErrorCode(accounts.authenticate(deps, token));

/** Lets the block of an account end, without waiting for it. */
const endBlock = async ({ db }: Deps): Promise<void> =>
  void (await sql`update account_blocks set until = clock_timestamp() - interval '1 millisecond'`.execute(
    db,
  ));

const readMessage = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => String(error),
  );

test('a blocked account has neither sessions nor valid tokens, until it is unblocked', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  const { token, session } = await logIn(deps);
  const end = Promise.withResolvers<EndReason>();
  await followSession(deps, session, end.resolve);
  await control.blockAccount(deps, ann, FOREVER);
  expect(await end.promise).toBe('LOGGED_OUT');
  const current = await issueCurrent(deps, ann);
  expect([await codeOf(deps, token), await codeOf(deps, current)]).toEqual([
    'UNAUTHENTICATED',
    'UNAUTHENTICATED',
  ]);
  expect(await readErrorCode(followSession(deps, session, () => undefined))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.refreshToken(deps, session))).toBe('UNAUTHENTICATED');
  await control.unblockAccount(deps, ann);
  expect([await codeOf(deps, token), await codeOf(deps, current)]).toEqual(['UNAUTHENTICATED', 'done']);
  expect(await codeOf(deps, (await logIn(deps)).token)).toBe('done');
});

test('only who knows the password learns of the block, and not its reason', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  const wrong = { ...ANN, password: 'a wrong one' };
  const before = await readMessage(accounts.login(deps, wrong));
  await control.blockAccount(deps, ann, FOREVER);
  expect(await readMessage(accounts.login(deps, wrong))).toBe(before);
  expect(await readErrorCode(accounts.login(deps, ANN))).toBe('FORBIDDEN');
  expect(await readMessage(accounts.login(deps, ANN))).toBe('DomainError: This account is blocked.');
  const until = inAnHour();
  await control.blockAccount(deps, ann, { until, reason: 'spam again' });
  expect(await readMessage(accounts.login(deps, ANN))).toBe(
    `DomainError: This account is blocked until ${until}.`,
  );
});

test('a block ends at its time, by the clock of the database, and is then removed', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  await control.blockAccount(deps, ann, { until: inAnHour(), reason: 'spam' });
  await sweep(deps);
  expect(await readErrorCode(accounts.login(deps, ANN))).toBe('FORBIDDEN');
  await endBlock(deps);
  expect(await codeOf(deps, (await logIn(deps)).token)).toBe('done');
  expect(await control.findBlock(deps, await control.requireAccount(deps, ann))).toBeUndefined();
  await sweep(deps);
  expect(await deps.db.selectFrom('accountBlocks').selectAll().execute()).toEqual([]);
});

test('blocking again changes the end and the reason', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  const account = await control.requireAccount(deps, ann);
  await control.blockAccount(deps, ann, FOREVER);
  const first = await control.findBlock(deps, account);
  expect(first).toMatchObject(FOREVER);
  const next = { until: inAnHour(), reason: 'only for an hour' };
  await control.blockAccount(deps, ann, next);
  expect(await control.findBlock(deps, account)).toMatchObject(next);
  await control.unblockAccount(deps, ann);
  await control.unblockAccount(deps, ann);
  expect(await control.findBlock(deps, account)).toBeUndefined();
});

test('a block that has ended already, without a reason or of an unknown account, is refused and ends nothing', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  const { token } = await logIn(deps);
  const block = (input: { until: string | null; reason: string }) =>
    readErrorCode(control.blockAccount(deps, ann, input));
  expect(await block({ until: new Date(Date.now() - 1_000).toISOString(), reason: 'late' })).toBe(
    'INVALID_INPUT',
  );
  expect(await block({ until: null, reason: ' ' })).toBe('INVALID_INPUT');
  expect(await block({ until: null, reason: 'x'.repeat(501) })).toBe('INVALID_INPUT');
  expect(await codeOf(deps, token)).toBe('done');
  const missing = { ...ann, id: 999_999 } as ActorRef;
  expect(await readErrorCode(control.blockAccount(deps, missing, FOREVER))).toBe('NOT_FOUND');
  expect(await readErrorCode(control.unblockAccount(deps, missing))).toBe('NOT_FOUND');
  expect(await readErrorCode(control.revokeSessions(deps, missing))).toBe('NOT_FOUND');
});

test('a device can be blocked, its circle stays as it is', async () => {
  await using deps = await createTestDeps();
  const [ann] = await createUsers(deps, 'ann');
  const circle = await createCircle(deps, ann);
  const added = await devices.addDevice(deps, ann.actor, { circleId: circle.id, name: 'Lamp' });
  const device = { kind: 'device', id: added.device.id } as const;
  const { token } = await accounts.loginDevice(deps, added);
  await control.blockAccount(deps, device, FOREVER);
  expect(await codeOf(deps, token)).toBe('UNAUTHENTICATED');
  expect(await codeOf(deps, await issueCurrent(deps, device))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.loginDevice(deps, added))).toBe('FORBIDDEN');
  expect(await readErrorCode(accounts.loginDevice(deps, { ...added, password: 'wrong' }))).toBe(
    'UNAUTHENTICATED',
  );
  // A user may have the same number.
  expect(await codeOf(deps, await issueCurrent(deps, ann.actor))).toBe('done');
  await control.unblockAccount(deps, device);
  expect(await readErrorCode(accounts.loginDevice(deps, added))).toBe('done');
  await control.blockAccount(deps, device, FOREVER);
  await devices.removeDevice(deps, ann.actor, { deviceId: device.id });
  expect(await deps.db.selectFrom('accountBlocks').selectAll().execute()).toEqual([]);
});

test('a blocked account of an identity provider is refused with new tokens, too', async () => {
  await using deps = await createTestDeps();
  const identity = { ...ANN, subject: 'issuer ann', emailVerified: true };
  const provision = () =>
    readErrorCode(provisionUser(deps, identity, { tokenId: randomUUID(), issuedAt: Date.now() + 5_000 }));
  expect(await provision()).toBe('done');
  const user = await control.findAccountByEmail(deps, ANN.email);
  if (user?.kind !== 'user') throw new Error('The user was not created.');
  const actor = { kind: 'user', id: user.user.id } as const;
  await control.blockAccount(deps, actor, FOREVER);
  expect(await provision()).toBe('UNAUTHENTICATED');
  const external = {
    actor,
    tokenId: randomUUID(),
    issuedAt: Date.now() + 5_000,
    expiresAt: Date.now() + 60_000,
    isExternal: true,
  };
  expect(await readErrorCode(followSession(deps, external, () => undefined))).toBe('UNAUTHENTICATED');
  await control.unblockAccount(deps, actor);
  expect(await provision()).toBe('done');
});

test('a blocked account with a password cannot be linked to an identity provider', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  await control.blockAccount(deps, ann, FOREVER);
  const identity = { ...ANN, subject: 'issuer ann', emailVerified: true };
  const provision = () =>
    readErrorCode(provisionUser(deps, identity, { tokenId: randomUUID(), issuedAt: Date.now() }));
  expect(await provision()).toBe('UNAUTHENTICATED');
  expect(await deps.db.selectFrom('users').select('id').execute()).toHaveLength(1);
  await control.unblockAccount(deps, ann);
  expect(await provision()).toBe('done');
});

/** Returns dependencies with which the work runs after the password was found to be right. */
const afterCheck = (deps: Deps, work: () => Promise<unknown>): Deps => ({
  ...deps,
  passwords: {
    ...deps.passwords,
    async verify(...args) {
      const isRight = await deps.passwords.verify(...args);
      await work();
      return isRight;
    },
  },
});

test('a login whose password is checked while the account is blocked is refused', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  const late = afterCheck(deps, () => control.blockAccount(deps, ann, FOREVER));
  expect(await readErrorCode(accounts.login(late, ANN))).toBe('FORBIDDEN');
});

test('a token that is issued after a block has committed is refused', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  const late: Deps = {
    ...deps,
    tokens: {
      ...deps.tokens,
      async issue(...args) {
        await control.blockAccount(deps, ann, FOREVER);
        await control.unblockAccount(deps, ann);
        return deps.tokens.issue(...args);
      },
    },
  };
  const { token } = await accounts.login(late, ANN);
  expect(await codeOf(deps, token)).toBe('UNAUTHENTICATED');
  const { session } = await logIn(deps);
  const refreshed = await accounts.refreshToken(late, session);
  expect(await codeOf(deps, refreshed.token)).toBe('UNAUTHENTICATED');
});

test('the password of an account that is blocked meanwhile is not changed, the account not deleted', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  for (const act of [
    (late: Deps, session: Session) =>
      accounts.changePassword(late, session, { current: ANN.password, next: 'the next one' }),
    (late: Deps, session: Session) => accounts.deleteAccount(late, session, ANN),
  ]) {
    const { session } = await logIn(deps);
    const late = afterCheck(deps, () => control.blockAccount(deps, ann, FOREVER));
    expect(await readErrorCode(act(late, session))).toBe('UNAUTHENTICATED');
    await control.unblockAccount(deps, ann);
  }
});

test('no session survives a block that commits while it is opened', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  for (const round of indexes(20)) {
    const { token } = await accounts.login(deps, ANN);
    const end = Promise.withResolvers<string>();
    const open = async (): Promise<void> => {
      const session = await accounts.authenticate(deps, token);
      await followSession(deps, session, end.resolve);
    };
    const opened = readErrorCode(open());
    if (round % 2 === 1) await Promise.resolve();
    await control.blockAccount(deps, ann, FOREVER);
    const outcome = await opened;
    expect(['UNAUTHENTICATED', 'LOGGED_OUT']).toContain(outcome === 'done' ? await end.promise : outcome);
    await control.unblockAccount(deps, ann);
  }
});

test('blocks and unblocks of one account, concurrently, leave one state', async () => {
  await using deps = await createTestDeps();
  const ann = await createAnn(deps);
  await Promise.all(
    indexes(12).map((index) =>
      index % 3 === 2
        ? control.unblockAccount(deps, ann)
        : control.blockAccount(deps, ann, { until: null, reason: `reason ${index}` }),
    ),
  );
  const block = await control.findBlock(deps, await control.requireAccount(deps, ann));
  expect(await readErrorCode(accounts.login(deps, ANN))).toBe(block === undefined ? 'done' : 'FORBIDDEN');
});
