import { expect, test } from 'vitest';
import { InflowLimit, UNLIMITED } from '../../src/lib/inflow-limit.ts';

test('bytes beyond the burst wait in proportion to all that were received, at most 10 s', () => {
  const limit = new InflowLimit({ bytesPerSecond: 100, burstBytes: 1_000 });
  expect(limit.add(1_000)).toBe(0);
  const delays = Array.from({ length: 10 }, () => limit.add(300));
  for (const [index, delayMs] of delays.entries())
    expect(delayMs).toBeLessThan(Math.min((index + 1) * 3_000, 10_000) + 1);
  expect(delays.at(-1)).toBeGreaterThan(9_000);
});

test('without a limit nothing waits', () => {
  const limit = new InflowLimit(UNLIMITED);
  for (let index = 0; index < 3; index += 1) expect(limit.add(1e12)).toBe(0);
});
