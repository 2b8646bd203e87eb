import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { MAX_STATEMENTS } from '../../src/gateway/execution/operation-cost.ts';
import { MAX_ACCOUNT_CONNECTIONS } from '../../src/services/account-connections.ts';
import { MAX_SUBSCRIPTIONS, MAX_SUBSCRIPTION_BYTES } from '../../src/services/open-subscriptions.ts';
import { BUDGETS, CONCURRENCY } from '../../src/services/operation-limits.ts';

/** Returns the first cells of the row that begins with a text. */
function cellsOf(page: string, start: string, count: number): (string | undefined)[] {
  const row = page.split('\n').find((line) => line.startsWith(`| ${start}`)) ?? '';
  const cells = row.split('|').map((cell) => cell.trim());
  return cells.slice(2, 2 + count);
}

test('docs/operations/limits.md has the limits of operations', async () => {
  const page = await readFile('docs/operations/limits.md', 'utf8');
  for (const [kind, { perSecond, burst, maxDelayMs }] of Object.entries(BUDGETS))
    expect(cellsOf(page, `\`${kind}\``, 3)).toEqual([`${perSecond}`, `${burst}`, `${maxDelayMs} ms`]);
  const values = {
    'statements of one operation': MAX_STATEMENTS,
    'running statements of one account': CONCURRENCY.account.running,
    'running statements of one address': CONCURRENCY.address.running,
    'queued operations of one account': CONCURRENCY.account.queuedOperations,
    'queued operations of one address': CONCURRENCY.address.queuedOperations,
    'open subscriptions of one account': MAX_SUBSCRIPTIONS,
    'bytes of their documents and variables': MAX_SUBSCRIPTION_BYTES,
    'connections of one account': MAX_ACCOUNT_CONNECTIONS,
  };
  for (const [limit, value] of Object.entries(values)) expect(cellsOf(page, limit, 1)).toEqual([`${value}`]);
});
