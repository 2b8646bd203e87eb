import { expect, test } from 'vitest';
import { createLogger } from '../../src/log.ts';
import { createSecurityLog } from '../../src/services/security-log.ts';
import type { UserId } from '../../src/ids.ts';

const ANN = { kind: 'user', id: 1 as UserId } as const;

function openLog() {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('info', {
    write: (text: string) => void lines.push(JSON.parse(text) as Record<string, unknown>),
  });
  let endWindow: (() => void) | undefined;
  const securityLog = createSecurityLog({
    log,
    startTimer: (_ms, callback) => {
      endWindow = callback;
      return () => (endWindow = undefined);
    },
  });
  return { lines, securityLog, endWindow: () => endWindow?.() };
}

test('an event is a log line with its account, address and node', () => {
  const { lines, securityLog } = openLog();
  securityLog.record('login failed', { account: ANN, address: '192.0.2.1' });
  securityLog.record('token refused');
  expect(lines).toMatchObject([
    {
      level: 40,
      security: true,
      event: 'login failed',
      account: 'user:1',
      address: '192.0.2.1',
      msg: 'security event',
    },
    { security: true, event: 'token refused' },
  ]);
  expect(lines[1]).not.toHaveProperty('account');
});

test('repeated events are counted, and logged once at the end of the minute', () => {
  const { lines, securityLog, endWindow } = openLog();
  for (let count = 0; count < 1_000; count += 1) securityLog.record('login failed', { account: ANN });
  expect(lines).toHaveLength(1);
  endWindow();
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({ event: 'login failed', account: 'user:1', repeats: 999 });
  securityLog.record('login failed', { account: ANN });
  expect(lines).toHaveLength(3);
});

test('events with ever different fields are bounded, each kind on its own', () => {
  const { lines, securityLog } = openLog();
  for (let count = 0; count < 1_000; count += 1)
    securityLog.record('login failed', { address: `10.0.0.${count}` });
  expect(lines).toHaveLength(60);
  securityLog.record('password changed', { account: ANN });
  expect(lines).toHaveLength(61);
  securityLog[Symbol.dispose]();
  expect(lines.at(-1)).toMatchObject({ event: 'login failed', repeats: 940 });
  expect(lines).toHaveLength(62);
});
