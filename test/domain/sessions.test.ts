import { expect, test } from 'vitest';
import { revoke } from '../../src/db/sessions.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { followSession } from '../../src/domain/sessions.ts';
import type { EndReason } from '../../src/errors.ts';
import type { Follower } from '../../src/events/tail.ts';
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
        return follow(follower);
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
