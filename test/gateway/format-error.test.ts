import { parse } from 'graphql';
import { expect, test } from 'vitest';
import { createFormatError } from '../../src/gateway/execution/format-error.ts';
import type { LoggedOperation } from '../../src/gateway/execution/operation-fields.ts';
import { createLogger } from '../../src/log.ts';
import { createContext } from '../../src/schema/context.ts';
import { createTestDeps } from '../harness/deps.ts';

test('an unexpected error is logged once, with the operation and connection of its id', async () => {
  await using deps = await createTestDeps();
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('info', {
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const formatError = createFormatError(log);
  const operation: LoggedOperation = {
    document: parse('query Chats { me { __typename } }'),
    context: createContext({ deps, session: null }),
    operationId: '7',
    origin: { id: 'ws-1', transport: 'graphql-ws', address: '192.0.2.1', endReason: undefined },
  };
  const error = new Error('A defect');
  const { extensions } = formatError(error, operation);
  expect(formatError(error, operation).extensions).toEqual(extensions);
  expect(lines).toEqual([
    expect.objectContaining({
      msg: 'unexpected error',
      id: extensions['id'],
      connection: 'ws-1',
      transport: 'graphql-ws',
      operation: 'query Chats',
      operationId: '7',
    }),
  ]);
});
