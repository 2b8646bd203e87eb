import { expect, test } from 'vitest';
import { revoke } from '../../src/db/sessions.ts';
import * as accounts from '../../src/domain/accounts.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { followSession, openSession, renewSession } from '../../src/domain/sessions.ts';
import type { EndReason } from '../../src/errors.ts';
import type { Follower } from '../../src/events/tail-source.ts';
import { createAccountConnections } from '../../src/services/account-connections.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createUser, createSession } from '../harness/domain-fixtures.ts';

/** Wraps the tails to record their followers, so that a test can report a gap to them. */
function recordFollowers({ tails }: Deps) {
  const followers: Follower[] = [];
  const open: Deps['tails']['open'] = async (topic) => {
    const tail = await tails.open(topic);
    if (tail === undefined) return undefined;
    const follow = tail.follow.bind(tail);
    return Object.assign(tail, {
      follow(follower: Follower) {
        followers.push(follower);
        follow(follower);
      },
    });
  };
  return { followers, tails: { ...tails, open } };
}

test('a session whose end was trimmed unread ends at the gap; a valid session does not', async () => {
  await using deps = await createTestDeps();
  const { actor } = await createUser(deps, 'ann');
  const { followers, tails } = recordFollowers(deps);
  const end = Promise.withResolvers<EndReason>();
  const onEnd = (reason: EndReason) => end.resolve(reason);
  const otherSession = { ...createSession(actor), tokenId: 'other' };
  const otherEnds: EndReason[] = [];
  await followSession({ ...deps, tails }, createSession(actor), onEnd);
  const unfollow = await followSession({ ...deps, tails }, otherSession, (reason) => otherEnds.push(reason));
  await deps.db
    .transaction()
    .execute((tx) => revoke(tx, createSession(actor).tokenId, new Date(Date.now() + 60_000).toISOString()));
  for (const follower of followers.toReversed()) follower.onGap?.();
  expect(await end.promise).toBe('LOGGED_OUT');
  expect(otherEnds).toEqual([]);
  unfollow();
});

test('the oldest session of an account that has too many ends with SLOW, a renewed one is the newest', async () => {
  await using plainDeps = await createTestDeps();
  const accountConnections = createAccountConnections({ enabled: true, max: 2 });
  const deps = { ...plainDeps, accountConnections };
  const { token } = await accounts.createAccount(deps, {
    email: 'ann@example.com',
    password: 'password 1',
    firstName: 'Ann',
    lastName: '',
    birthday: null,
  });
  const ends: string[] = [];
  const open = async (name: string) => {
    const session = await openSession(deps, token);
    session.onEnd((reason) => ends.push(`${name} ${reason}`));
    return session;
  };
  const first = await open('first');
  await open('second');
  const renewed = await renewSession(deps, first.session, token);
  expect(ends).toEqual(['first SLOW']);
  first.close();
  await open('third');
  expect(ends).toEqual(['first SLOW', 'second SLOW']);
  renewed.close();
  await open('fourth');
  expect(ends).toHaveLength(2);
});
