import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import type { JWTPayload } from 'jose';
import { expect, test, vi } from 'vitest';
import type { Session } from '../../src/actor.ts';
import type { User } from '../../src/db/tables.ts';
import * as accounts from '../../src/domain/accounts.ts';
import { createBatchedReads } from '../../src/db/batched-reads.ts';
import * as circles from '../../src/domain/circles.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import type { JwksSettings } from '../../src/services/external-tokens.ts';
import { accountTopic, circleTopic, conversationTopic } from '../../src/events/event.ts';
import { followSession } from '../../src/domain/sessions.ts';
import type { UserId } from '../../src/ids.ts';
import { SECRET, createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  readEvents,
  readEventTypes,
  readOutcomes,
  createSession,
  createUser,
  createUsers,
  readToEnd,
  readErrorCode,
} from '../harness/domain-fixtures.ts';
import { countStatements } from '../harness/statements.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';

const ANN = {
  email: 'ann@example.com',
  password: 'a secret',
  firstName: 'Ann',
  lastName: 'Lee',
  birthday: '1990-02-28',
};

const actorOf = (user: User) => ({ kind: 'user', id: user.id }) as const;

/** Signs a token as the original server did: with an integer `sub` and no `jti`. */
function signOriginalToken(sub: number, exp = Math.floor(Date.now() / 1000) + 3600): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp, iat: exp - 60, sub })}`;
  return `${input}.${createHmac('sha256', SECRET).update(input).digest('base64url')}`;
}

test('createAccount returns a token that is valid immediately', async () => {
  await using deps = await createTestDeps();
  const { token, user } = await accounts.createAccount(deps, { ...ANN, email: ' Ann@Example.com ' });
  expect(user).toEqual({
    id: expect.any(Number),
    email: 'Ann@Example.com',
    firstName: 'Ann',
    lastName: 'Lee',
    birthday: '1990-02-28',
    createdAt: expect.any(String),
    updatedAt: expect.any(String),
  });
  const session = await accounts.authenticate(deps, token);
  expect(session).toEqual({
    actor: actorOf(user),
    tokenId: expect.any(String),
    issuedAt: expect.any(Number),
    expiresAt: expect.any(Number),
    family: { id: expect.any(String), endsAt: expect.any(Number) },
    generation: 0,
  });
  expect(await accounts.requireMe(deps, session.actor)).toEqual({ kind: 'user', user, online: false });
});

test('an account needs a valid e-mail, a password and names of valid length', async () => {
  await using deps = await createTestDeps();
  const invalidInputs: [Partial<typeof ANN>, string][] = [
    [{ email: 'ann' }, 'email'],
    [{ email: '@' }, 'email'],
    [{ email: 'a@b@c' }, 'email'],
    [{ email: 'a b@c' }, 'email'],
    [{ email: `${'x'.repeat(119)}@x` }, 'email'],
    [{ email: 'a\0@b' }, 'email'],
    [{ password: '' }, 'password'],
    [{ password: 'seven77' }, 'password'],
    [{ password: 'e\u0301'.repeat(7) }, 'password'],
    [{ password: 'x'.repeat(201) }, 'password'],
    [{ firstName: 'x'.repeat(51) }, 'firstName'],
    [{ lastName: '\ud800' }, 'lastName'],
    [{ birthday: '1990-02-30' }, 'birthday'],
    [{ birthday: '0000-01-01' }, 'birthday'],
    [{ birthday: '28.02.1990' }, 'birthday'],
  ];
  for (const [change, field] of invalidInputs) {
    const attempt = accounts.createAccount(deps, { ...ANN, ...change });
    await expect(attempt).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      details: { field },
    });
  }
  expect(await deps.db.selectFrom('users').select('id').execute()).toEqual([]);
});

test('an e-mail belongs to one account in any spelling, also for concurrent requests', async () => {
  await using deps = await createTestDeps();
  const create = (email: string) => accounts.createAccount(deps, { ...ANN, email });
  const results = await readOutcomes([
    create('ann@example.com'),
    create('ANN@example.com'),
    create('Ann@Example.COM'),
  ]);
  expect(results.sort()).toEqual(['CONFLICT', 'CONFLICT', 'done']);
  expect(await readErrorCode(create('aNN@example.com'))).toBe('CONFLICT');
  expect(await deps.db.selectFrom('topics').select('topic').execute()).toHaveLength(1);
});

test('every login issues its own token, and logout revokes only that one', async () => {
  await using deps = await createTestDeps();
  const { user } = await accounts.createAccount(deps, ANN);
  const login = () => accounts.login(deps, { email: ' ANN@example.com', password: ANN.password });
  const [first, second] = [await login(), await login()];
  expect(first.user).toEqual(user);
  expect(first.token).not.toBe(second.token);
  const session = await accounts.authenticate(deps, first.token);
  await accounts.logout(deps, session);
  await accounts.logout(deps, session);
  expect(await readErrorCode(accounts.authenticate(deps, first.token))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.authenticate(deps, second.token))).toBe('done');
  expect(await readEvents(deps, accountTopic(actorOf(user)))).toEqual([
    { type: 'session.ended', account: actorOf(user), tokenId: session.tokenId },
  ]);
  expect(await readErrorCode(accounts.refreshToken(deps, session))).toBe('UNAUTHENTICATED');
});

test('a wrong password, an unknown e-mail and an account without password get the same error', async () => {
  await using deps = await createTestDeps();
  await accounts.createAccount(deps, ANN);
  const bob = await createUser(deps, 'bob');
  const attempts = [
    { email: ANN.email, password: 'A secret' },
    { email: ANN.email, password: '' },
    { email: 'nobody@example.com', password: ANN.password },
    { email: bob.email, password: '' },
    { email: 'no address', password: 'x' },
    { email: `${ANN.email}\0`, password: ANN.password },
    { email: '\ud800', password: ANN.password },
    { email: 'x'.repeat(10_000), password: 'x'.repeat(10_000) },
  ];
  const errors = await Promise.all(
    attempts.map((input) => accounts.login(deps, input).catch((error: unknown) => error)),
  );
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'UNAUTHENTICATED', message: 'The name or the password is wrong.' });
  }
});

test('an unknown e-mail, and an account without password, cost a hash like a wrong password', async () => {
  await using deps = await createTestDeps();
  await accounts.createAccount(deps, ANN);
  const bob = await createUser(deps, 'bob');
  const verify = vi.spyOn(deps.passwords, 'verify');
  for (const email of [ANN.email, 'nobody@example.com', bob.email, '\0']) {
    verify.mockClear();
    expect(await readErrorCode(accounts.login(deps, { email, password: 'wrong' }))).toBe('UNAUTHENTICATED');
    expect(verify).toHaveBeenCalledTimes(1);
  }
});

test('a token that is invalid, expired, revoked or of a deleted account is rejected', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const past = Math.floor(Date.now() / 1000) - 1;
  for (const token of ['', 'nonsense', signOriginalToken(999), signOriginalToken(ann.user.id, past)]) {
    expect(await readErrorCode(accounts.authenticate(deps, token))).toBe('UNAUTHENTICATED');
  }
  const { token } = await deps.tokens.issue(ann.actor);
  expect((await accounts.authenticate(deps, token)).actor).toEqual(ann.actor);
  const asDevice = await deps.tokens.issue({ kind: 'device', id: 1 as never });
  expect(await readErrorCode(accounts.authenticate(deps, asDevice.token))).toBe('UNAUTHENTICATED');
  await deps.db.deleteFrom('users').execute();
  expect(await readErrorCode(accounts.authenticate(deps, token))).toBe('UNAUTHENTICATED');
});

test('a token of the original server is accepted and can be revoked, without other tokens of its owner', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const [first, second] = [signOriginalToken(ann.user.id, exp), signOriginalToken(ann.user.id, exp + 1)];
  await accounts.logout(deps, await accounts.authenticate(deps, first));
  expect(await readErrorCode(accounts.authenticate(deps, first))).toBe('UNAUTHENTICATED');
  expect((await accounts.authenticate(deps, second)).actor).toEqual(ann.actor);
});

test('authentication takes one SQL statement', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const { token } = await deps.tokens.issue(ann.actor);
  const statements = countStatements(deps.db);
  const batchedReads = createBatchedReads(statements.db);
  await accounts.authenticate({ ...deps, db: statements.db, batchedReads }, token);
  expect(statements.count).toBe(1);
});

test('refreshToken issues a new token for the same account', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const { token } = await deps.tokens.issue(ann.actor);
  const session = await accounts.authenticate(deps, token);
  const refreshed = await accounts.refreshToken(deps, session);
  expect(refreshed.actor).toEqual(ann.actor);
  const next = await accounts.authenticate(deps, refreshed.token);
  expect(next.tokenId).not.toBe(session.tokenId);
  expect(await readErrorCode(accounts.authenticate(deps, token))).toBe('done');
});

test('a changed e-mail is visible everywhere, and identifies the account at login', async () => {
  await using deps = await createTestDeps();
  const { user } = await accounts.createAccount(deps, ANN);
  const ann: TestUser = { user, actor: actorOf(user), email: user.email };
  const bob = await createUser(deps, 'bob');
  const circle = await createCircle(deps, bob, ann);
  const conversation = await createConversation(deps, circle, bob, ann);

  const updatedUser = await accounts.updateAccount(deps, ann.actor, { email: 'new@example.com' });
  expect(updatedUser).toEqual({ ...user, email: 'new@example.com', updatedAt: updatedUser.updatedAt });
  expect(updatedUser.updatedAt > user.updatedAt).toBe(true);
  expect(await accounts.findVisibleUser(deps, bob.actor, user.id)).toEqual(updatedUser);
  expect((await accounts.findUsersById(deps, [user.id])).get(user.id)).toEqual({
    ...updatedUser,
    online: false,
  });
  expect(await readErrorCode(accounts.login(deps, ANN))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.login(deps, { ...ANN, email: 'NEW@example.com' }))).toBe('done');
  const kick = (email: string) =>
    conversations.kickFromConversation(deps, bob.actor, { conversationId: conversation.id, email });
  expect(await readErrorCode(kick(ANN.email))).toBe('NOT_FOUND');
  await kick('new@example.com');
  expect((await readEvents(deps, conversationTopic(conversation.id))).slice(2)).toMatchObject([
    { type: 'participant.kicked', user: updatedUser },
    { type: 'conversation.deleted' },
  ]);
});

test('updateAccount changes only the given fields', async () => {
  await using deps = await createTestDeps();
  const { user } = await accounts.createAccount(deps, ANN);
  const bob = await createUser(deps, 'bob');
  const update = (input: accounts.UpdateAccountInput) => accounts.updateAccount(deps, actorOf(user), input);
  expect(await update({ firstName: 'Anna' })).toMatchObject({
    firstName: 'Anna',
    lastName: 'Lee',
    birthday: ANN.birthday,
  });
  expect(await update({ birthday: null })).toMatchObject({ firstName: 'Anna', birthday: null });
  expect(await update({ email: 'ANN@example.com' })).toMatchObject({ email: 'ANN@example.com' });
  expect(await readErrorCode(update({ email: bob.email.toUpperCase() }))).toBe('CONFLICT');
  expect(await readErrorCode(update({ email: 'none' }))).toBe('INVALID_INPUT');
  expect(await readErrorCode(update({ birthday: 'yesterday' }))).toBe('INVALID_INPUT');
  expect(await accounts.requireMe(deps, actorOf(user))).toMatchObject({
    user: { email: 'ANN@example.com', firstName: 'Anna' },
  });
});

test('of two accounts that change to one e-mail concurrently, one succeeds', async () => {
  await using deps = await createTestDeps();
  const users = await createUsers(deps, 'ann', 'bob', 'eve');
  const attempts = users.map(({ actor }) =>
    accounts.updateAccount(deps, actor, { email: 'new@example.com' }),
  );
  expect((await readOutcomes(attempts)).sort()).toEqual(['CONFLICT', 'CONFLICT', 'done']);
});

test('changing the password requires the current one', async () => {
  await using deps = await createTestDeps();
  const { user } = await accounts.createAccount(deps, ANN);
  const change = (current: string, next: string) =>
    accounts.changePassword(deps, createSession(actorOf(user)), { current, next });
  expect(await readErrorCode(change('wrong', 'the next one'))).toBe('FORBIDDEN');
  expect(await readErrorCode(change(ANN.password, 'seven77'))).toBe('INVALID_INPUT');
  expect(await change(ANN.password, 'the next one')).toMatchObject({ id: user.id });
  expect(await readErrorCode(accounts.login(deps, ANN))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.login(deps, { ...ANN, password: 'the next one' }))).toBe('done');
  const bob = await createUser(deps, 'bob');
  expect(
    await readErrorCode(
      accounts.changePassword(deps, createSession(bob.actor), { current: '', next: 'another one' }),
    ),
  ).toBe('FORBIDDEN');
});

test('a device has no profile to change', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const device = await createDevice(deps, await createCircle(deps, ann), ann);
  const attempts = [
    accounts.updateAccount(deps, device, { firstName: 'Lamp' }),
    accounts.changePassword(deps, createSession(device), { current: 'x', next: 'another one' }),
    accounts.deleteAccount(deps, createSession(device), { password: 'x' }),
  ];
  expect(await readOutcomes(attempts)).toEqual(['FORBIDDEN', 'FORBIDDEN', 'FORBIDDEN']);
  const lease = await deps.presence.open('graphql', device);
  expect(await accounts.requireMe(deps, device)).toMatchObject({
    kind: 'device',
    device: { id: device.id },
    online: true,
  });
  await lease.close();
});

test('deleting an account ends its memberships and participations, and removes it', async () => {
  await using deps = await createTestDeps();
  const { user, token } = await accounts.createAccount(deps, ANN);
  const ann: TestUser = { user, actor: actorOf(user), email: user.email };
  const [bob, eve] = await createUsers(deps, 'bob', 'eve');
  const sharedCircle = await createCircle(deps, ann, bob, eve);
  const ownCircle = await createCircle(deps, ann);
  const device = await createDevice(deps, ownCircle, ann);
  const conversation = await createConversation(deps, sharedCircle, ann, bob);
  await circles.inviteToCircle(deps, ann.actor, { circleId: ownCircle.id, email: bob.email });
  const { id: otherCircleId } = await circles.createCircle(deps, eve.actor, { name: 'Other' });
  await circles.inviteToCircle(deps, eve.actor, { circleId: otherCircleId, email: ANN.email });
  const session = await accounts.authenticate(deps, token);
  const result = readToEnd(await accounts.openInboxEvents(deps, session, { after: null }));
  expect(
    await readErrorCode(accounts.deleteAccount(deps, createSession(ann.actor), { password: 'wrong' })),
  ).toBe('FORBIDDEN');

  expect(await accounts.deleteAccount(deps, createSession(ann.actor), ANN)).toEqual(user);

  expect(await result).toEqual({
    events: [],
    error: expect.objectContaining({ code: 'UNAUTHENTICATED', details: { reason: 'ACCOUNT_DELETED' } }),
  });
  expect((await readEvents(deps, circleTopic(sharedCircle.id))).slice(2)).toEqual([
    {
      type: 'member.left',
      circleId: sharedCircle.id,
      user: { ...user, email: '', firstName: '', lastName: '', birthday: null },
      deleted: true,
    },
  ]);
  expect((await readEventTypes(deps, conversationTopic(conversation.id))).slice(2)).toEqual([
    'participant.left',
    'conversation.deleted',
  ]);
  expect((await readEventTypes(deps, circleTopic(ownCircle.id))).slice(1)).toEqual([
    'member.left',
    'circle.deleted',
  ]);
  expect(await readEventTypes(deps, accountTopic(device))).toEqual(['account.deleted']);
  expect((await readEvents(deps, accountTopic(ann.actor))).at(-1)).toEqual({
    type: 'account.deleted',
    account: ann.actor,
  });
  expect(await readErrorCode(accounts.authenticate(deps, token))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.requireMe(deps, ann.actor))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.deleteAccount(deps, createSession(ann.actor), ANN))).toBe(
    'UNAUTHENTICATED',
  );
  expect(
    (await circles.findMembershipsByCircles(deps, [sharedCircle.id])).get(sharedCircle.id),
  ).toMatchObject([
    { userId: bob.user.id, role: 'ADMIN' },
    { userId: eve.user.id, role: 'MEMBER' },
  ]);
  expect((await circles.findInvitationsByCircles(deps, [otherCircleId])).get(otherCircleId)).toEqual([]);
  expect(await readErrorCode(accounts.createAccount(deps, ANN))).toBe('done');
});

test('an account deleted while joining circles is a member of none, and each circle has the event', async () => {
  await using deps = await createTestDeps();
  const bob = await createUser(deps, 'bob');
  for (let round = 0; round < 4; round += 1) {
    const ann = await createUser(deps, `ann${round}`);
    const [first, second] = [await createCircle(deps, bob, ann), await createCircle(deps, bob)];
    const invitation = await circles.inviteToCircle(deps, bob.actor, {
      circleId: second.id,
      email: ann.email,
    });
    const { id: third } = await createCircle(deps, bob);
    const results = await readOutcomes([
      accounts.deleteAccount(deps, createSession(ann.actor), { password: '' }),
      circles.acceptInvitation(deps, ann.actor, { invitationId: invitation.id }),
      circles.createCircle(deps, ann.actor, { name: 'Mine' }),
      createConversation(deps, first, bob, ann),
      circles.inviteToCircle(deps, bob.actor, { circleId: third, email: ann.email }),
    ]);
    expect(results[0]).toBe('done');
    for (const outcome of results) expect(['done', 'NOT_FOUND', 'UNAUTHENTICATED']).toContain(outcome);
    const eventTypes = await readEventTypes(deps, circleTopic(second.id));
    expect([[], ['member.joined', 'member.left']]).toContainEqual(eventTypes);
    expect(eventTypes).toHaveLength(results[1] === 'done' ? 2 : 0);
  }
  const remainingMembers = await deps.db.selectFrom('memberships').select('userId').distinct().execute();
  expect(remainingMembers).toEqual([{ userId: bob.user.id }]);
  const emptyCircles = await deps.db
    .selectFrom('circles')
    .select('id')
    .where('id', 'not in', deps.db.selectFrom('memberships').select('circleId'))
    .execute();
  expect(emptyCircles).toEqual([]);
});

test('a user is visible to itself and to members of a shared circle only', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob);
  await createCircle(deps, bob, eve);
  const device = await createDevice(deps, circle, ann);
  const canSee = async (actor: typeof ann.actor | typeof device, { user }: TestUser) =>
    (await accounts.findVisibleUser(deps, actor, user.id)) !== undefined;
  expect(await canSee(ann.actor, ann)).toBe(true);
  expect(await canSee(ann.actor, bob)).toBe(true);
  expect(await canSee(ann.actor, eve)).toBe(false);
  expect(await canSee(bob.actor, eve)).toBe(true);
  expect(await canSee(device, ann)).toBe(true);
  expect(await canSee(device, bob)).toBe(true);
  expect(await canSee(device, eve)).toBe(false);
  expect(await accounts.findVisibleUser(deps, ann.actor, 999 as UserId)).toBeUndefined();
  expect(await accounts.findUsersById(deps, [999 as UserId, eve.user.id])).toEqual(
    new Map([[eve.user.id, { ...eve.user, online: false }]]),
  );
});

test("the inbox delivers the account's own events, from a cursor", async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { token } = await deps.tokens.issue(bob.actor);
  const session = await accounts.authenticate(deps, token);
  const open = (after: string | null) => accounts.openInboxEvents(deps, session, { after });
  const stream = await open(null);
  expect((await stream.next()).value).toMatchObject({ type: 'live' });
  const circle = await createCircle(deps, ann, bob);
  const invitation = (await stream.next()).value;
  expect(invitation).toMatchObject({ event: { type: 'circle.invited' } });
  await createConversation(deps, circle, ann, bob);
  await stream.return();
  const resumedStream = await open(invitation?.cursor ?? null);
  expect((await resumedStream.next()).value).toMatchObject({ event: { type: 'conversation.invited' } });
  await resumedStream.return();
  await accounts.logout(deps, session);
  expect(await readErrorCode(open(null))).toBe('UNAUTHENTICATED');
});

const ISSUER = 'https://login.example.com/';

/** Starts an identity provider that serves its key set and signs tokens. */
async function startProvider(): Promise<
  AsyncDisposable & { settings: JwksSettings; sign(claims: JWTPayload): Promise<string> }
> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const keys = [await exportJWK(publicKey)];
  const server = createServer((_request, response) => response.end(JSON.stringify({ keys }))).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    settings: { url: `http://127.0.0.1:${address.port}/jwks`, issuer: ISSUER },
    sign: (claims) =>
      new SignJWT({ iss: ISSUER, ...claims })
        .setProtectedHeader({ alg: 'ES256' })
        .setExpirationTime('1h')
        .sign(privateKey),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const userOf = async (deps: Deps, token: string) => {
  const { actor } = await accounts.authenticate(deps, token);
  const view = await accounts.requireMe(deps, actor);
  if (view.kind !== 'user') throw new Error('The token belongs to a device');
  return view.user;
};

test('an external user gets an account at the first token, and the same one afterwards', async () => {
  await using provider = await startProvider();
  await using deps = await createTestDeps({ tokens: { jwks: provider.settings } });
  const claims = { sub: 'a1', email: 'ann@example.com', given_name: 'Ann', family_name: 'Lee' };
  const tokens = await Promise.all([1, 2, 3].map((jti) => provider.sign({ ...claims, jti: `${jti}` })));
  const users = await Promise.all(tokens.map((token) => userOf(deps, token)));
  expect(new Set(users.map(({ id }) => id)).size).toBe(1);
  expect(users[0]).toMatchObject({
    email: 'ann@example.com',
    firstName: 'Ann',
    lastName: 'Lee',
    birthday: null,
  });
  expect(await readEvents(deps, accountTopic(actorOf(users[0] as User)))).toEqual([]);

  const sameUser = await userOf(deps, await provider.sign({ sub: 'a1', email: 'other@example.com' }));
  expect(sameUser).toEqual(users[0]);
  expect(await readErrorCode(accounts.login(deps, { email: claims.email, password: '' }))).toBe(
    'UNAUTHENTICATED',
  );
});

test('an account is linked only by its verified e-mail, and only once', async () => {
  await using provider = await startProvider();
  await using deps = await createTestDeps({ tokens: { jwks: provider.settings } });
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const verified = { email: 'ANN@example.com', email_verified: true };
  expect((await userOf(deps, await provider.sign({ sub: 'a1', ...verified }))).id).toBe(ann.user.id);
  expect((await userOf(deps, await provider.sign({ sub: 'a1' }))).id).toBe(ann.user.id);

  const otherUser = await userOf(deps, await provider.sign({ sub: 'a2', ...verified }));
  expect(otherUser.id).not.toBe(ann.user.id);
  expect(otherUser.email).toMatch(/@user\.invalid$/);

  const unverifiedUser = await userOf(deps, await provider.sign({ sub: 'b1', email: bob.email }));
  expect(unverifiedUser.id).not.toBe(bob.user.id);
  expect(unverifiedUser.email).toMatch(/@user\.invalid$/);
  expect(
    (await userOf(deps, await provider.sign({ sub: 'b1', email: bob.email, email_verified: true }))).id,
  ).toBe(unverifiedUser.id);
});

test('linking an account revokes the password and tokens of its creator', async () => {
  await using provider = await startProvider();
  await using deps = await createTestDeps({ tokens: { jwks: provider.settings } });
  const { token } = await accounts.createAccount(deps, ANN);
  const session = await accounts.authenticate(deps, token);
  const ends: string[] = [];
  await followSession(deps, session, (reason) => void ends.push(reason));

  const ownerToken = await provider.sign({ sub: 'a1', email: ANN.email, email_verified: true });
  expect((await userOf(deps, ownerToken)).id).toBe(session.actor.id);

  expect(ends).toEqual(['LOGGED_OUT']);
  expect(await readErrorCode(accounts.authenticate(deps, token))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.login(deps, ANN))).toBe('UNAUTHENTICATED');
  expect(await readErrorCode(accounts.authenticate(deps, ownerToken))).toBe('done');
});

test('without an e-mail the account gets a placeholder, and may change it', async () => {
  await using provider = await startProvider();
  await using deps = await createTestDeps({ tokens: { jwks: provider.settings } });
  const user = await userOf(deps, await provider.sign({ sub: 'a1' }));
  expect(user.email).toMatch(/^[0-9a-f]{32}@user\.invalid$/);
  const updatedUser = await accounts.updateAccount(deps, actorOf(user), { email: 'ann@example.com' });
  expect(updatedUser.email).toBe('ann@example.com');
});

test('an external token can be revoked, also before its account exists', async () => {
  await using provider = await startProvider();
  await using deps = await createTestDeps({ tokens: { jwks: provider.settings } });
  const token = await provider.sign({ sub: 'a1', jti: 'one' });
  const session = await accounts.authenticate(deps, token);
  await accounts.logout(deps, session);
  expect(await readErrorCode(accounts.authenticate(deps, token))).toBe('UNAUTHENTICATED');
  const second = await accounts.authenticate(deps, await provider.sign({ sub: 'a1', jti: 'two' }));
  expect(
    await readErrorCode(accounts.authenticate(deps, await provider.sign({ sub: 'a2', jti: 'one' }))),
  ).toBe('UNAUTHENTICATED');
  await accounts.deleteAccount(deps, second, { password: '' });
  expect(await readErrorCode(accounts.authenticate(deps, token))).toBe('UNAUTHENTICATED');
});

test('a profile with values that the present validation rejects can be saved if they are unchanged', async () => {
  await using deps = await createTestDeps();
  const { user } = await accounts.createAccount(deps, ANN);
  const [email, firstName] = ['an\u200bn@example.com', '\u3164'];
  await deps.db.updateTable('users').set({ email, firstName }).where('id', '=', user.id).execute();
  const update = (input: accounts.UpdateAccountInput) => accounts.updateAccount(deps, actorOf(user), input);
  const savedUser = await update({ email, firstName, lastName: 'Li', birthday: null });
  expect(savedUser).toMatchObject({ email, firstName, lastName: 'Li', birthday: null });
  expect(await readErrorCode(update({ email: 'an\u200bna@example.com' }))).toBe('INVALID_INPUT');
});

test('attempts to change the e-mail are limited, as a conflict tells that an account has it', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const change = (email: string) => readErrorCode(accounts.updateAccount(deps, ann.actor, { email }));
  const outcomes = [];
  for (let count = 0; count < 10; count += 1) outcomes.push(await change(bob.email));
  expect(new Set(outcomes)).toEqual(new Set(['CONFLICT']));
  expect(await change('free@example.com')).toBe('RATE_LIMITED');
  expect(await change(ann.email)).toBe('done');
  expect((await accounts.updateAccount(deps, ann.actor, { firstName: 'Anna' })).firstName).toBe('Anna');
});

test('a token that was valid before is checked for its end and its account only, one of a provider as always', async () => {
  await using deps = await createTestDeps();
  const { token } = await accounts.createAccount(deps, ANN);
  const session = await accounts.authenticate(deps, token);
  const again = (former: Session, presented = token) =>
    accounts.authenticate(deps, presented, '192.0.2.1', former);
  expect(await again(session)).toBe(session);
  expect(await again(session, 'not verified again')).toBe(session);
  for (const former of [
    { ...session, expiresAt: deps.clock.now() - 1 },
    { ...session, isExternal: true },
  ]) {
    expect(await again(former)).toEqual(session);
    expect(await readErrorCode(again(former, 'verified'))).toBe('UNAUTHENTICATED');
  }
  await accounts.logout(deps, session);
  expect(await readErrorCode(again(session))).toBe('UNAUTHENTICATED');
});
