import { expect, test } from 'vitest';
import { createLogger } from '../../src/log.ts';
import { boundLog } from '../../src/services/bounded-log.ts';
import { createFakeTimers } from '../harness/fake-timers.ts';
import { indexes } from '../harness/numbers.ts';

function openLog() {
  const lines: Record<string, unknown>[] = [];
  const destination = createLogger('debug', {
    write: (text: string) => void lines.push(JSON.parse(text) as Record<string, unknown>),
  });
  const timers = createFakeTimers();
  const log = boundLog(destination, timers.startTimer);
  return { lines, log, advance: timers.advance };
}

test('lines with the same message are bounded each minute, and the others counted', () => {
  const { lines, log, advance } = openLog();
  for (const index of indexes(1_000)) log.info({ index }, 'connection closed');
  expect(lines).toHaveLength(600);
  log.error('another message');
  log.child({ node: 1 }).warn('connection closed');
  expect(lines).toHaveLength(601);
  advance(60_000);
  expect(lines.at(-1)).toMatchObject({
    level: 40,
    msg: 'log lines dropped',
    message: 'connection closed',
    dropped: 401,
  });
  log.info('connection closed');
  expect(lines).toHaveLength(603);
});

test('disposal reports the lines that were dropped last', () => {
  const { lines, log } = openLog();
  for (const index of indexes(601)) log.warn({ index }, 'connection closed');
  log[Symbol.dispose]();
  expect(lines.at(-1)).toMatchObject({ message: 'connection closed', dropped: 1 });
});

test('debug lines are not bounded', () => {
  const { lines, log } = openLog();
  for (const index of indexes(1_000)) log.debug({ index }, 'connection opened');
  expect(lines).toHaveLength(1_000);
});
