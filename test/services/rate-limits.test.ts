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
  key: string,
  limits = createRateLimits({ enabled: true }),
): Promise<number> {
  for (let uses = 0; ; uses += 1) {
    const [result] = await Promise.allSettled([limits.consume(kind, key)]);
    if (result.status === 'fulfilled') continue;
    expect(result.reason).toEqual(rateLimited);
    return uses;
  }
}

test.each([
  ['login', 10],
  ['send', 6_000],
  ['signal', 1_200],
  ['typing', 300],
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
  expect(await countUses('login', 'a', limits)).toBe(10);
  await limits.consume('login', 'b');
  await limits.consume('typing', 'a');
});

test('the limit allows requests again after retryAfterMs', async () => {
  vi.useFakeTimers();
  try {
    const limits = createRateLimits({ enabled: true });
    expect(await countUses('login', 'a', limits)).toBe(10);
    await vi.advanceTimersByTimeAsync(59_000);
    await expect(limits.consume('login', 'a')).rejects.toThrow(rateLimited);
    await vi.advanceTimersByTimeAsync(1_100);
    await limits.consume('login', 'a');
    expect(await countUses('typing', 'a', limits)).toBe(300);
    await vi.advanceTimersByTimeAsync(1_100);
    expect(await countUses('typing', 'a', limits)).toBe(50);
  } finally {
    vi.useRealTimers();
  }
});

test('successful checks consume nothing, and concurrent guesses cannot exceed the limit', async () => {
  const limits = createRateLimits({ enabled: true });
  const check = (key: string, secret: string) =>
    limits.checkCredential(key, async () => (secret === 'right' ? secret : undefined));
  for (let count = 0; count < 50; count += 1) expect(await check('a', 'right')).toBe('right');
  const guesses = [...Array.from({ length: 15 }, () => 'wrong'), 'right'];
  const results = await Promise.allSettled(guesses.map((secret) => check('a', secret)));
  expect(results.map(({ status }) => status)).toEqual(
    guesses.map((_, index) => (index < 10 ? 'fulfilled' : 'rejected')),
  );
  expect(results.at(-1)).toEqual({ status: 'rejected', reason: rateLimited });
  expect(await check('b', 'right')).toBe('right');
});

test('a check that throws consumes nothing, and does not block the next one', async () => {
  const limits = createRateLimits({ enabled: true });
  for (let count = 0; count < 20; count += 1)
    await expect(limits.checkCredential('a', () => Promise.reject(new Error('unavailable')))).rejects.toThrow(
      'unavailable',
    );
  expect(await limits.checkCredential('a', async () => 'right')).toBe('right');
});

test('disabled limits reject nothing', async () => {
  const limits = createRateLimits({ enabled: false });
  for (let count = 0; count < 5_000; count += 1) await limits.consume('login', 'a');
  for (let count = 0; count < 20; count += 1)
    expect(await limits.checkCredential('a', async () => undefined)).toBeUndefined();
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
