import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import * as accounts from '../../src/domain/accounts.ts';
import * as circles from '../../src/domain/circles.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { requestVerification, verifyEmail } from '../../src/domain/email-verification.ts';
import {
  blockInvitations,
  findInvitationBlocks,
  unblockInvitations,
} from '../../src/domain/invitation-blocks.ts';
import { provisionUser } from '../../src/domain/provisioning.ts';
import { accountTopic } from '../../src/events/event.ts';
import type { CircleId } from '../../src/ids.ts';
import type { Mail } from '../../src/services/mailer.ts';
import { createTestDeps } from '../harness/deps.ts';
import { countStatements } from '../harness/statements.ts';
import {
  createCircle,
  createUser,
  createUsers,
  readErrorCode,
  readEventTypes,
  readOutcomes,
  createSession,
} from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';

const PERSON = { password: 'long enough', firstName: 'Late', lastName: '', birthday: null };

const invite = (deps: Deps, inviter: TestUser, circleId: CircleId, email: string) =>
  circles.inviteToCircle(deps, inviter.actor, { circleId, email });

const findReceived = async (deps: Deps, user: Pick<TestUser, 'actor'>) =>
  (await circles.findInvitationsByActor(deps, user.actor)).map(({ id }) => id);

/** Returns what the circle sees of its invitations, without what differs for every invitation. */
async function readCircleView(deps: Deps, circleId: CircleId) {
  const found = (await circles.findInvitationsByCircles(deps, [circleId])).get(circleId) ?? [];
  return found.map(({ email, invitedById }) => ({ email, invitedById }));
}

async function signUp(deps: Deps, email: string): Promise<TestUser> {
  const { user } = await accounts.createAccount(deps, { ...PERSON, email });
  return { user, actor: { kind: 'user', id: user.id }, email: user.email };
}

/** Turns the verification of e-mails on, and collects the mails. */
function withMails(deps: Deps): { readonly deps: Deps; readonly mails: Mail[] } {
  const mails: Mail[] = [];
  const config = readConfig({ DATA_DIR: 'memory', RATE_LIMITS: 'off', MAIL_URL: 'https://mail.example' });
  const mailer = {
    send: (mail: Mail) => void mails.push(mail),
    [Symbol.asyncDispose]: async () => undefined,
  };
  return { deps: { ...deps, config, mailer }, mails };
}

test('an invitation is held for the e-mail until an account has it: by sign-up, change or provider', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id: circleId } = await createCircle(deps, ann);
  const { id } = await invite(deps, ann, circleId, 'Late@Example.com');
  const { id: changedId } = await invite(deps, ann, circleId, 'changed@example.com');
  const { id: externalId } = await invite(deps, ann, circleId, 'external@example.com');
  expect(await readErrorCode(invite(deps, ann, circleId, 'LATE@example.com'))).toBe('CONFLICT');
  const view = await readCircleView(deps, circleId);
  expect(view).toHaveLength(3);

  const late = await signUp(deps, 'late@example.com');
  await accounts.updateAccount(deps, bob.actor, { email: 'changed@example.com' });
  const externalUserId = await provisionUser(
    deps,
    {
      subject: 'issuer external',
      email: 'external@example.com',
      emailVerified: true,
      firstName: '',
      lastName: '',
      birthday: null,
    },
    { tokenId: 'token', issuedAt: null },
  );
  const external = { actor: { kind: 'user', id: externalUserId } } as const;
  for (const [user, invitationId] of [
    [late, id],
    [bob, changedId],
    [external, externalId],
  ] as const) {
    expect(await findReceived(deps, user)).toEqual([invitationId]);
    expect(await readEventTypes(deps, accountTopic(user.actor))).toEqual(['circle.invited']);
  }
  expect(await readCircleView(deps, circleId)).toEqual(view);
  expect((await circles.acceptInvitation(deps, late.actor, { invitationId: id })).id).toBe(circleId);
});

test('only the circle sees an invitation that is held, and no one can accept it', async () => {
  await using deps = await createTestDeps();
  const [ann, eve] = await createUsers(deps, 'ann', 'eve');
  const { id: circleId } = await createCircle(deps, ann);
  const { id } = await invite(deps, ann, circleId, 'late@example.com');
  expect(await circles.requireInvitation(deps, ann.actor, id)).toMatchObject({ id, userId: null });
  expect(await readErrorCode(circles.requireInvitation(deps, eve.actor, id))).toBe('NOT_FOUND');
  for (const reply of [circles.acceptInvitation, circles.declineInvitation]) {
    expect(await readErrorCode(reply(deps, ann.actor, { invitationId: id }))).toBe('FORBIDDEN');
    expect(await readErrorCode(reply(deps, eve.actor, { invitationId: id }))).toBe('NOT_FOUND');
  }
  await circles.deleteCircle(deps, ann.actor, { circleId });
  await signUp(deps, 'late@example.com');
  expect(await deps.db.selectFrom('heldInvitations').selectAll().execute()).toEqual([]);
});

test('an invitation and the account of its e-mail that are created concurrently find each other', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  for (let round = 0; round < 10; round += 1) {
    const { id: circleId } = await createCircle(deps, ann);
    const email = `late${round}@example.com`;
    const [{ id }, late] = await Promise.all([invite(deps, ann, circleId, email), signUp(deps, email)]);
    expect(await findReceived(deps, late)).toEqual([id]);
  }
});

test('a member is not invited to its circle by another spelling of its e-mail', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id: circleId } = await createCircle(deps, ann, bob);
  await invite(deps, ann, circleId, 'other@example.com');
  await accounts.updateAccount(deps, bob.actor, { email: 'other@example.com' });
  expect(await findReceived(deps, bob)).toEqual([]);
  expect(await readCircleView(deps, circleId)).toEqual([]);
});

test('a blocked inviter cannot tell: its invitations, earlier ones too, are held until the block ends', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const [first, second, other] = [
    await createCircle(deps, ann),
    await createCircle(deps, ann),
    await createCircle(deps, eve),
  ];
  const { id: firstId } = await invite(deps, ann, first.id, bob.email);
  const before = await readCircleView(deps, first.id);
  await blockInvitations(deps, bob.actor, { userId: ann.user.id });
  await blockInvitations(deps, bob.actor, { userId: ann.user.id });
  expect(await readCircleView(deps, first.id)).toEqual(before);
  expect(await readErrorCode(invite(deps, ann, first.id, bob.email))).toBe('CONFLICT');
  const { id: secondId } = await invite(deps, ann, second.id, bob.email);
  const { id: otherId } = await invite(deps, eve, other.id, bob.email);
  expect(await findReceived(deps, bob)).toEqual([otherId]);
  expect(await readErrorCode(circles.acceptInvitation(deps, bob.actor, { invitationId: firstId }))).toBe(
    'NOT_FOUND',
  );

  await blockInvitations(deps, bob.actor, { userId: undefined });
  expect(await findReceived(deps, bob)).toEqual([]);
  expect((await findInvitationBlocks(deps, [bob.user.id])).get(bob.user.id)).toEqual({
    everyone: true,
    userIds: [ann.user.id],
  });
  await unblockInvitations(deps, bob.actor, { userId: undefined });
  expect(await findReceived(deps, bob)).toEqual([otherId]);
  await unblockInvitations(deps, bob.actor, { userId: ann.user.id });
  expect(await findReceived(deps, bob)).toEqual([firstId, secondId, otherId]);
});

test('deleting an account deletes the invitations for its e-mail, received and held', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const [first, second] = [await createCircle(deps, ann), await createCircle(deps, ann)];
  await invite(deps, ann, first.id, bob.email);
  await blockInvitations(deps, bob.actor, { userId: ann.user.id });
  await unblockInvitations(deps, bob.actor, { userId: ann.user.id });
  await blockInvitations(deps, bob.actor, { userId: undefined });
  await invite(deps, ann, second.id, bob.email);
  await accounts.deleteAccount(deps, createSession(bob.actor), { password: '' });
  expect(await deps.db.selectFrom('heldInvitations').selectAll().execute()).toEqual([]);
  expect(await deps.db.selectFrom('invitations').selectAll().execute()).toEqual([]);
});

test('inviting runs the same number of statements with an account, without one, and with a block', async () => {
  let counted: ReturnType<typeof countStatements> | undefined;
  await using deps = await createTestDeps({ wrapDb: (db) => (counted = countStatements(db)).db });
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  await createCircle(deps, ann, eve);
  await blockInvitations(deps, eve.actor, { userId: ann.user.id });
  const countFor = async (email: string): Promise<number> => {
    const { id: circleId } = await createCircle(deps, ann);
    const before = counted?.count ?? 0;
    await invite(deps, ann, circleId, email);
    return (counted?.count ?? 0) - before;
  };
  const known = await countFor(bob.email);
  expect(known).toBeGreaterThan(10);
  expect(await countFor('unknown@example.com')).toBe(known);
  expect(await countFor(eve.email)).toBe(known);
  expect(await countFor('UNKNOWN@example.COM')).toBe(known);
  expect(await countFor('BOB@example.COM')).toBe(known);
});

test('a block names a user that is known to the caller, and not the caller', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  await createCircle(deps, ann, bob);
  const outcomes = await readOutcomes([
    blockInvitations(deps, bob.actor, { userId: ann.user.id }),
    blockInvitations(deps, bob.actor, { userId: eve.user.id }),
    blockInvitations(deps, bob.actor, { userId: bob.user.id }),
    unblockInvitations(deps, bob.actor, { userId: eve.user.id }),
  ]);
  expect(outcomes).toEqual(['done', 'NOT_FOUND', 'INVALID_INPUT', 'done']);
});

test('invitations are limited per hour, by inviter and e-mail, whether an account has it or not', async () => {
  await using testDeps = await createTestDeps({ rateLimits: true });
  const refused: string[] = [];
  const deps = { ...testDeps, reportRefusal: (limit: string) => void refused.push(limit) };
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const [known, unknown]: [string[], string[]] = [[], []];
  for (let count = 0; count < 21; count += 1) {
    const { id: circleId } = await circles.createCircle(deps, ann.actor, { name: 'Spam' });
    known.push(await readOutcome(invite(deps, ann, circleId, bob.email)));
    unknown.push(await readOutcome(invite(deps, ann, circleId, 'late@example.com')));
  }
  expect(known).toEqual([...Array.from({ length: 20 }, () => 'done'), 'RATE_LIMITED']);
  expect(unknown).toEqual(known);
  expect(refused).toEqual(['invitations', 'invitations']);
  const { id: circleId } = await circles.createCircle(deps, bob.actor, { name: 'Honest' });
  await invite(deps, bob, circleId, 'late@example.com');
  const { id: last } = await circles.createCircle(deps, ann.actor, { name: 'Spam' });
  await expect(invite(deps, ann, last, bob.email)).rejects.toMatchObject({
    details: { retryAfterMs: expect.toSatisfy((ms: number) => ms > 0 && ms <= 3_600_000) },
  });
});

test('pending invitations are limited by inviter and by circle, without those older than 30 days', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const circle = await createCircle(deps, ann, bob);
  const other = await createCircle(deps, ann);
  const insert = (createdAt: string) =>
    deps.db
      .insertInto('heldInvitations')
      .values(
        Array.from({ length: 1_000 }, (_, index) => ({
          circleId: circle.id,
          invitedById: ann.user.id,
          email: `${index}@example.com`,
          emailKey: `${createdAt} ${index}`,
          createdAt,
        })),
      )
      .execute();
  await insert('2020-01-01T00:00:00.000Z');
  await invite(deps, bob, circle.id, 'late@example.com');
  await insert(new Date(Date.now()).toISOString());
  expect(
    await readOutcomes([
      invite(deps, ann, other.id, 'other@example.com'),
      invite(deps, bob, circle.id, 'other@example.com'),
    ]),
  ).toEqual(['LIMIT_EXCEEDED', 'LIMIT_EXCEEDED']);
  const { id } = await createCircle(deps, bob);
  await invite(deps, bob, id, 'other@example.com');
});

test('an inbox has at most 100 invitations; the next is delivered after a reply', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const ids = [];
  for (let count = 0; count < 102; count += 1) {
    const { id: circleId } = await circles.createCircle(deps, ann.actor, { name: 'Spam' });
    ids.push((await invite(deps, ann, circleId, bob.email)).id);
  }
  expect(await findReceived(deps, bob)).toEqual(ids.slice(0, 100));
  const [first, second] = ids;
  if (first === undefined || second === undefined) throw new Error('There are no invitations.');
  await circles.declineInvitation(deps, bob.actor, { invitationId: first });
  await circles.acceptInvitation(deps, bob.actor, { invitationId: second });
  expect(await findReceived(deps, bob)).toEqual(ids.slice(2));
});

test('with verification, invitations by and to unverified e-mails are held', async () => {
  await using plainDeps = await createTestDeps();
  const { deps, mails } = withMails(plainDeps);
  const [ann, bob] = [await signUp(deps, 'ann@example.com'), await signUp(deps, 'bob@example.com')];
  expect(mails.map(({ to }) => to)).toEqual(['ann@example.com', 'bob@example.com']);
  const tokenOf = (user: TestUser): string =>
    mails.findLast(({ to }) => to === user.email)?.token ?? 'no mail';
  const { id: circleId } = await createCircle(deps, ann);
  const { id } = await invite(deps, ann, circleId, bob.email);
  expect(await findReceived(deps, bob)).toEqual([]);
  expect(await readErrorCode(verifyEmail(deps, bob.actor, tokenOf(ann)))).toBe('INVALID_INPUT');
  await verifyEmail(deps, bob.actor, tokenOf(bob));
  expect(await readErrorCode(verifyEmail(deps, bob.actor, tokenOf(bob)))).toBe('INVALID_INPUT');
  expect(await findReceived(deps, bob)).toEqual([]);
  await verifyEmail(deps, ann.actor, tokenOf(ann));
  expect(await findReceived(deps, bob)).toEqual([id]);

  await accounts.updateAccount(deps, bob.actor, { email: 'bob@work.example' });
  const { id: workCircleId } = await createCircle(deps, ann);
  const { id: workId } = await invite(deps, ann, workCircleId, 'bob@work.example');
  expect(await findReceived(deps, bob)).toEqual([id]);
  await verifyEmail(deps, bob.actor, mails.at(-1)?.token ?? '');
  expect(await findReceived(deps, bob)).toEqual([id, workId]);
});

test('a token is replaced by the next mail, expires, and is void after a change of the e-mail', async () => {
  await using plainDeps = await createTestDeps();
  const { deps, mails } = withMails(plainDeps);
  const ann = await signUp(deps, 'ann@example.com');
  await requestVerification(deps, ann.actor);
  const [first, second] = mails.map(({ token }) => token);
  const verify = (token: string | undefined) => readErrorCode(verifyEmail(deps, ann.actor, token ?? ''));
  expect(await verify(first)).toBe('INVALID_INPUT');
  await deps.db.updateTable('emailVerifications').set({ expiresAt: '2000-01-01' }).execute();
  expect(await verify(second)).toBe('INVALID_INPUT');
  await requestVerification(deps, ann.actor);
  await deps.db.updateTable('users').set({ email: 'eve@example.com' }).execute();
  expect(await verify(mails.at(-1)?.token)).toBe('INVALID_INPUT');
  await deps.db.updateTable('users').set({ email: 'ann@example.com' }).execute();
  expect(await verify(mails.at(-1)?.token)).toBe('done');
  await requestVerification(deps, ann.actor);
  expect(mails).toHaveLength(3);
  expect(JSON.stringify(await deps.db.selectFrom('emailVerifications').selectAll().execute())).toBe('[]');
});

test('mails are limited per account and per e-mail, and refused without MAIL_URL', async () => {
  await using plainDeps = await createTestDeps();
  const ann = await createUser(plainDeps, 'ann');
  expect(await readErrorCode(requestVerification(plainDeps, ann.actor))).toBe('FORBIDDEN');
  const { deps: unlimited, mails } = withMails(plainDeps);
  const deps = { ...unlimited, config: { ...unlimited.config, RATE_LIMITS: 'on' as const } };
  const outcomes: string[] = [];
  for (let count = 0; count < 6; count += 1)
    outcomes.push(await readOutcome(requestVerification(deps, ann.actor)));
  expect(outcomes).toEqual(['done', 'done', 'done', 'done', 'done', 'RATE_LIMITED']);
  await accounts.updateAccount(deps, ann.actor, { email: 'victim@example.com' });
  expect(mails.filter(({ to }) => to === 'victim@example.com')).toEqual([]);
});

const readOutcome = async (promise: Promise<unknown>): Promise<string> =>
  (await readOutcomes([promise]))[0] ?? 'nothing';
