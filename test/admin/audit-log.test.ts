import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createOperator } from '../harness/operator.ts';
import type { Operator } from '../harness/operator.ts';

interface Entry {
  readonly id: string;
  readonly at: string;
  readonly action: string;
  readonly arguments: unknown;
  readonly reason: string | null;
  readonly address: string;
  readonly node: string;
  readonly nodeName: string | null;
  readonly outcome: string | null;
}

interface Page {
  readonly auditLog: {
    readonly nodes: readonly Entry[];
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}

const AUDIT_LOG = /* GraphQL */ `
  query AuditLog($first: Int, $after: String) {
    auditLog(first: $first, after: $after) {
      nodes {
        id
        at
        action
        arguments
        reason
        address
        node
        nodeName
        outcome
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`;

const REVOKE = /* GraphQL */ `
  mutation Revoke($accountId: ID!, $reason: String) {
    revokeSessions(accountId: $accountId, reason: $reason) {
      id
    }
  }
`;

let app: TestGateway;
let operator: Operator;

beforeAll(async () => {
  app = await startTestApp({ env: { NODE_NAME: 'node-1' } });
  operator = createOperator(app.url);
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

const readPage = async (variables: Record<string, unknown> = {}) =>
  (await operator.run<Page>(AUDIT_LOG, variables)).auditLog;

test('an action is recorded with its arguments, reason, operator and outcome', async () => {
  const account = await app.createAccount();
  const before = Date.now();
  await operator.run(REVOKE, { accountId: account.id, reason: 'stolen phone' });
  await operator.expectError(REVOKE, { accountId: 'User:9999' });
  await operator.expectError(REVOKE, { accountId: 'malformed' });
  const { nodes } = await readPage();
  expect(nodes).toMatchObject([
    { arguments: { accountId: 'malformed' }, reason: null, outcome: 'INVALID_INPUT' },
    { arguments: { accountId: 'User:9999' }, reason: null, outcome: 'NOT_FOUND' },
    {
      action: 'revokeSessions',
      arguments: { accountId: account.id },
      reason: 'stolen phone',
      address: '127.0.0.1',
      nodeName: 'node-1',
      outcome: 'OK',
    },
  ]);
  expect(Date.parse(nodes[2]?.at ?? '')).toBeGreaterThan(before - 60_000);
  expect(new Set(nodes.map(({ node }) => node)).size).toBe(1);
});

test('pages follow each other, newest first, while new actions are recorded', async () => {
  for (let index = 0; index < 5; index += 1)
    await operator.expectError(REVOKE, { accountId: `User:${10_000 + index}` });
  const first = await readPage({ first: 3 });
  await operator.expectError(REVOKE, { accountId: 'User:20000' });
  const second = await readPage({ first: 2, after: first.pageInfo.endCursor });
  expect([...first.nodes, ...second.nodes].map(({ arguments: values }) => values)).toEqual(
    [4, 3, 2, 1, 0].map((index) => ({ accountId: `User:${10_000 + index}` })),
  );
  expect(first.pageInfo.hasNextPage).toBe(true);
  const rest = await readPage({ first: 100, after: second.pageInfo.endCursor });
  expect(rest.pageInfo.hasNextPage).toBe(false);
});

test('texts that the database cannot store, and long ones, are recorded in part', async () => {
  await operator.expectError(REVOKE, { accountId: `\0${'x'.repeat(5_000)}`, reason: '\ud800\0' });
  const { nodes } = await readPage({ first: 1 });
  expect(nodes[0]).toMatchObject({
    arguments: { accountId: `\ufffd${'x'.repeat(999)}` },
    reason: '\ufffd\ufffd',
  });
});
