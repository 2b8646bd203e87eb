import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';

/** Sends a chunked body. */
async function stream(
  url: string,
  chunks: readonly string[],
): Promise<{ status: number | undefined; body: unknown }> {
  const sent = request(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  for (const chunk of chunks) sent.write(chunk);
  sent.end();
  const [response] = await answered;
  return { status: response.statusCode, body: JSON.parse(await text(response)) };
}

test('a chunked body has the same size limit as one with a Content-Length', async () => {
  await using app = await startTestApp();
  const comment = 'é€😀'.repeat(1_000);
  const query = JSON.stringify({ query: `{ __typename } # ${comment}` });
  expect(await stream(app.url, [query.slice(0, 30), query.slice(30)])).toEqual({
    status: 200,
    body: { data: { __typename: 'Query' } },
  });
  const pieces = Array.from({ length: 20 }, () => 'x'.repeat(100_000));
  expect(await stream(app.url, ['{"query": "{ __typename } # ', ...pieces, '"}'])).toMatchObject({
    status: 413,
    body: { errors: [{ extensions: { code: 'LIMIT_EXCEEDED' } }] },
  });
  expect(await app.graphql.run('{ __typename }')).toEqual({ __typename: 'Query' });
});
