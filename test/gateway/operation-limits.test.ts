import { expect, test } from 'vitest';
import { openTestDatabase } from '../harness/database.ts';
import { startTestApp } from '../harness/app.ts';
import { startLimitedApp } from '../harness/limited-app.ts';

const post = (url: string, query: string, token?: string) =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query }),
  });

interface Result {
  readonly data?: unknown;
  readonly errors?: readonly { readonly extensions: Readonly<Record<string, unknown>> }[];
}

const aliases = (count: number, field: string): string =>
  `{ ${Array.from({ length: count }, (_, index) => `a${index}: ${field}`).join(' ')} }`;

test('an operation may cause a limited number of statements, wherever it has them', async () => {
  await using app = await startTestApp();
  const { token } = await app.createAccount();
  const ids = Array.from({ length: 80 }, (_, index) => `"Circle:${index + 1}"`).join(' ');
  const documents = [
    aliases(151, 'me { __typename }'),
    `query { ...A } fragment A on Query ${aliases(151, 'circle(id: "Circle:1") { name }')}`,
    `{ a: nodes(ids: [${ids}]) { id } b: nodes(ids: [${ids}]) { id } }`,
    `{ circle(id: "Circle:1") ${aliases(151, 'members { nodes { role } }')} }`,
  ];
  for (const document of documents) {
    const response = await post(app.url, document, token);
    expect(await response.json()).toMatchObject({
      errors: [{ extensions: { code: 'LIMIT_EXCEEDED', limit: 'statements 150' } }],
    });
  }
  const accepted = await post(app.url, aliases(100, 'me { __typename }'), token);
  expect(((await accepted.json()) as Result).errors).toBeUndefined();
});

test('anonymous clients are refused when their budget is used up, and accounts at the same address are not', async () => {
  await using app = await startTestApp({ env: { RATE_LIMITS: 'on' } });
  const { token } = await app.createAccount();
  const flood = aliases(70, 'webrtc { stunServers { urls } }');
  const responses = await Promise.all(Array.from({ length: 200 }, () => post(app.url, flood)));
  const refused = responses.find(({ status }) => status !== 200);
  expect(refused?.status).toBe(429);
  expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await refused?.json()).toMatchObject({
    errors: [{ extensions: { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) as number } }],
  });
  const honest = await post(app.url, '{ me { __typename } }', token);
  expect(await honest.json()).toEqual({ data: { me: { __typename: 'User' } } });
  const metrics = await (await fetch(`${app.url}/metrics`)).text();
  expect(metrics).toMatch(/parley_refusals_total\{limit="address"\} [1-9]/);
});

test('documents that are expensive to validate are rejected before they are validated', async () => {
  await using app = await startTestApp();
  const spreads = Array.from({ length: 300 }, (_, index) => `...f${index}`).join(' ');
  const fragments = Array.from(
    { length: 300 },
    (_, index) => `fragment f${index} on Query { __typename }`,
  ).join(' ');
  for (const document of [`{ ${'__typename '.repeat(400)} }`, `{ ${spreads} } ${fragments}`]) {
    const response = await post(app.url, document);
    expect(await response.json()).toMatchObject({
      errors: [{ extensions: { code: 'LIMIT_EXCEEDED', limit: 'overlap 150000' } }],
    });
  }
});

test('large bodies cost points although nothing in them can be executed', async () => {
  await using database = await openTestDatabase();
  const budget = { perSecond: 1, burst: 50, maxDelayMs: 0 };
  const operationBudgets = { account: budget, connection: budget, address: budget, anonymous: budget };
  await using app = await startLimitedApp({ database, operationBudgets });
  const send = async (): Promise<unknown> => {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{ ${' '.repeat(900_000)}`,
    });
    const { errors } = (await response.json()) as Result;
    return { status: response.status, code: errors?.[0]?.extensions['code'] };
  };
  expect(await send()).toEqual({ status: 400, code: 'INVALID_INPUT' });
  expect(await send()).toEqual({ status: 429, code: 'RATE_LIMITED' });
});
