import { expect, test, vi } from 'vitest';
import { createRateLimits } from '../../src/services/rate-limits.ts';
import type { LimitKind } from '../../src/services/rate-limits.ts';
import * as messages from '../../src/domain/messages.ts';
import { setTyping } from '../../src/domain/typing.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, createConversation, readOutcomes, createUsers } from '../harness/domain-fixtures.ts';

const rateLimited = expect.objectContaining({
  code: 'RATE_LIMITED',
  details: { retryAfterMs: expect.any(Number) as number },
});

/** Consumes points until the limit rejects. Returns their number. */
async function countUses(
  kind: LimitKind,
  address: string,
  limits = createRateLimits({ enabled: true }),
): Promise<number> {
  for (let uses = 0; ; uses += 1) {
    const [result] = await Promise.allSettled([limits.consume(kind, { address })]);
    if (result.status === 'fulfilled') continue;
    expect(result.reason).toEqual(rateLimited);
    return uses;
  }
}

test.each([
  ['signUp', 60],
  ['allSignUps', 1_300],
  ['connect', 2_020],
  ['send', 6_000],
  ['signal', 1_200],
  ['typing', 300],
  ['read', 300],
] as const)('an account can use %s only up to the limit', async (kind, uses) => {
  vi.useFakeTimers();
  try {
    expect(await countUses(kind, 'user:1')).toBe(uses);
  } finally {
    vi.useRealTimers();
  }
});

test('limits are separate per account and per kind', async () => {
  const limits = createRateLimits({ enabled: true });
  expect(await countUses('signUp', 'a', limits)).toBe(60);
  await limits.consume('signUp', { address: 'b' });
  await limits.consume('typing', { address: 'a' });
});

test('each refusal is reported with its limit and client', async () => {
  const refusals: unknown[] = [];
  const limits = createRateLimits({ enabled: true, reportRefusal: (...refusal) => refusals.push(refusal) });
  await countUses('signUp', 'a', limits);
  await expect(limits.consume('signUp', { address: 'a' })).rejects.toThrow(rateLimited);
  expect(refusals).toEqual([
    ['signUp', { address: 'a' }],
    ['signUp', { address: 'a' }],
  ]);
});

test('the limit allows requests again after retryAfterMs', async () => {
  vi.useFakeTimers();
  try {
    const limits = createRateLimits({ enabled: true });
    expect(await countUses('signUp', 'a', limits)).toBe(60);
    await vi.advanceTimersByTimeAsync(59_000);
    await expect(limits.consume('signUp', { address: 'a' })).rejects.toThrow(rateLimited);
    await vi.advanceTimersByTimeAsync(1_100);
    await limits.consume('signUp', { address: 'a' });
    expect(await countUses('typing', 'a', limits)).toBe(300);
    await vi.advanceTimersByTimeAsync(1_100);
    expect(await countUses('typing', 'a', limits)).toBe(50);
  } finally {
    vi.useRealTimers();
  }
});

test('disabled limits reject nothing', async () => {
  const limits = createRateLimits({ enabled: false });
  for (let count = 0; count < 5_000; count += 1) await limits.consume('signUp', { address: 'a' });
});

test('excessive typing is limited per account', async () => {
  await using deps = await createTestDeps({ rateLimits: true });
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id: conversationId } = await createConversation(deps, await createCircle(deps, ann, bob), ann, bob);
  const setTypingOf = ({ actor }: typeof ann) => setTyping(deps, actor, { conversationId, isTyping: true });
  const results = await readOutcomes(Array.from({ length: 1_000 }, () => setTypingOf(ann)));
  expect(results.filter((result) => result === 'done').length).toBeGreaterThanOrEqual(300);
  expect(results.filter((result) => result === 'RATE_LIMITED').length).toBeGreaterThan(0);
  await setTypingOf(bob);
  await messages.sendMessage(deps, ann.actor, { conversationId });
});
