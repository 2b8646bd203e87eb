import fc from 'fast-check';
import { expect, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { payerOf } from '../../src/actor.ts';
import { readConfig } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';
import { parseId } from '../../src/ids.ts';
import { BUDGETS } from '../../src/services/operation-limits.ts';
import { createTestAccount } from '../../src/testing/account.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { fuzz } from '../fuzz/fuzz.ts';
import { openTestDatabase } from '../harness/database.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';

interface Outcome {
  /** The code of the first error; undefined for a result without errors. */
  readonly code: unknown;
  readonly hasRetryAfter: boolean;
}

interface Result {
  readonly errors?: readonly { readonly extensions: Readonly<Record<string, unknown>> }[];
}

const outcomeOf = ({ errors = [] }: Result): Outcome => ({
  code: errors[0]?.extensions['code'],
  hasRetryAfter: Number(errors[0]?.extensions['retryAfterMs']) > 0,
});

const aliases = (count: number, field: string): string =>
  Array.from({ length: count }, (_, index) => `a${index}: ${field}`).join(' ');

test('what one transport refuses, every transport refuses', async () => {
  const config = readConfig({
    DATA_DIR: 'memory',
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'silent',
    DEMO: 'off',
  });
  await using app = await startApp({
    config,
    log: createLogger('silent'),
    database: await openTestDatabase(),
    passwordMemoryKib: 8,
  });
  await using anonymous = createGraphqlClient(app.url);
  const { burst, maxDelayMs, perSecond } = BUDGETS.account;
  /** The debt from which an operation of the account is refused. */
  const refusedFrom = burst + (maxDelayMs / 1_000) * perSecond;

  const runOverHttp = async (token: string, query: string, accept: string): Promise<Outcome> => {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept, authorization: `Bearer ${token}` },
      body: JSON.stringify({ query }),
    });
    const text = await response.text();
    const json = accept === 'text/event-stream' ? (/^data: (.+)$/m.exec(text)?.[1] ?? '{}') : text;
    const outcome = outcomeOf(JSON.parse(json) as Result);
    if (accept !== 'text/event-stream')
      expect(response.headers.has('retry-after')).toBe(outcome.code === 'RATE_LIMITED');
    return outcome;
  };
  const runOverWebSocket = async (token: string, query: string): Promise<Outcome> => {
    await using socket = await openGraphqlSocket(app.url, { token });
    socket.send({ id: '1', type: 'subscribe', payload: { query } });
    const { type, payload } = await socket.next();
    return outcomeOf(
      type === 'error' ? { errors: payload as Result['errors'] & object } : (payload as Result),
    );
  };

  const statements = fc.integer({ min: 1, max: 170 });
  const debt = fc.constantFrom(0, burst / 2, 2 * refusedFrom);
  await fuzz(
    fc.asyncProperty(statements, debt, async (count, points) => {
      await using user = await createTestAccount(app.url, anonymous);
      const legacy = await user.connectLegacy();
      const id = parseId<'User'>(user.legacyId);
      if (id === undefined) throw new Error('The account has no id.');
      const session = {
        actor: { kind: 'user', id },
        tokenId: 'test',
        issuedAt: null,
        expiresAt: Infinity,
      } as const;
      app.deps.operationLimits.chargeAfterwards(payerOf(session, '127.0.0.1'), points);
      const query = `{ ${aliases(count, 'me { __typename }')} }`;
      const [http, sse, webSocket] = await Promise.all([
        runOverHttp(user.token, query, 'application/json'),
        runOverHttp(user.token, query, 'text/event-stream'),
        runOverWebSocket(user.token, query),
      ]);
      const isRefused = points > refusedFrom;
      const expectedCode = isRefused ? 'RATE_LIMITED' : count > 150 ? 'LIMIT_EXCEEDED' : undefined;
      expect([http, sse, webSocket]).toEqual(
        Array.from({ length: 3 }, () => ({ code: expectedCode, hasRetryAfter: isRefused })),
      );
      if (isRefused) expect(await legacy.expectError('webrtc_credentials', {})).toBe('Trop de requetes');
      else {
        legacy.emit('webrtc_credentials', {});
        await legacy.expect('webrtc_config');
      }
    }),
    8,
    { shrinks: false },
  );
});
