import { expect, test } from 'vitest';
import { LOGIN_LIMITS } from '../../src/services/login-delays.ts';
import { LIMITS } from '../../src/services/refusals.ts';
import { SECURITY_EVENTS } from '../../src/services/security-log.ts';
import { readProjectFile } from './snippets.ts';

const readChapter = (name: string): Promise<string> => readProjectFile(`docs/operations/${name}.md`);

const formatMs = (ms: number): string => {
  if (ms < 1_000) return `${ms} ms`;
  return ms < 60_000 ? `${ms / 1_000} s` : `${ms / 60_000} min`;
};

test('every event of the security log is documented', async () => {
  const section = (await readChapter('security')).split('## Security log')[1]?.split('\n## ')[0] ?? '';
  for (const event of Object.keys(SECURITY_EVENTS)) expect(section).toContain(`\`${event}\``);
});

test('every limit is documented, with whether its refusals are recorded', async () => {
  const section = (await readChapter('limits')).split('## Refusals')[1]?.split('\n## ')[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('| `'));
  const documented = rows.flatMap((row) => {
    const [, names = '', , recorded = ''] = row.split('|');
    const fate = recorded.trim() === 'yes' ? 'recorded' : 'counted';
    return [...names.matchAll(/`([^`]+)`/g)]
      .map(([, name]) => [name, fate])
      .slice(names.includes('`limit`') ? 1 : 0);
  });
  expect(Object.fromEntries(documented)).toEqual(LIMITS);
});

test('the limits of failed logins are documented as they are', async () => {
  const section = (await readChapter('security')).split('## Logins under attack')[1]?.split('\n## ')[0] ?? '';
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| of '))
    .map((line) =>
      line
        .split('|')
        .slice(2, 5)
        .map((cell) => cell.trim()),
    );
  const limits = Object.values(LOGIN_LIMITS).map(({ free, delayMs, maxDelayMs }) => [
    String(free),
    formatMs(delayMs),
    formatMs(maxDelayMs),
  ]);
  expect(rows).toEqual(limits);
});
