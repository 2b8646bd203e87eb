import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { limitChunks } from '../../src/gateway/http/chunk-limit.ts';
import { drainRequest } from '../../src/gateway/http/respond.ts';
import { startTestApp } from '../harness/app.ts';

/** Posts a chunked body, and returns the status and the parsed response. */
async function postChunked(
  url: string,
  chunks: readonly string[],
): Promise<{ status: number | undefined; body: unknown }> {
  const clientRequest = request(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  const responsePromise = once(clientRequest, 'response') as Promise<[IncomingMessage]>;
  for (const chunk of chunks) clientRequest.write(chunk);
  clientRequest.end();
  const [response] = await responsePromise;
  return { status: response.statusCode, body: JSON.parse(await text(response)) };
}

test('a chunked body has the same size limit as one with a Content-Length', async () => {
  await using app = await startTestApp();
  const comment = 'é€😀'.repeat(1_000);
  const query = JSON.stringify({ query: `{ __typename } # ${comment}` });
  expect(await postChunked(app.url, [query.slice(0, 30), query.slice(30)])).toEqual({
    status: 200,
    body: { data: { __typename: 'Query' } },
  });
  const pieces = Array.from({ length: 20 }, () => 'x'.repeat(100_000));
  expect(await postChunked(app.url, ['{"query": "{ __typename } # ', ...pieces, '"}'])).toMatchObject({
    status: 413,
    body: { errors: [{ extensions: { code: 'LIMIT_EXCEEDED' } }] },
  });
  expect(await app.graphql.run('{ __typename }')).toEqual({ __typename: 'Query' });
});

test('a body may have some small chunks, and any number of larger ones', async () => {
  await using app = await startTestApp();
  const result = { status: 200, body: { data: { __typename: 'Query' } } };
  const query = JSON.stringify({ query: `{ __typename } # ${'x'.repeat(200)}` });
  expect(await postChunked(app.url, query.split(''))).toEqual(result);
  const pieces = Array.from({ length: 2_000 }, () => 'x'.repeat(100));
  expect(await postChunked(app.url, ['{"query": "{ __typename } # ', ...pieces, '"}'])).toEqual(result);
});

test.for([
  ['before its response', '/graphql', '413'],
  ['after its response', '/nowhere', '404'],
])('a body with too many small chunks closes its connection, %s', async ([, path, status]) => {
  await using app = await startTestApp();
  const { hostname, port } = new URL(app.url);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  let received = '';
  socket.on('data', (data: Buffer) => (received += data.toString()));
  if (status === '404') await once(socket, 'data');
  socket.write('1\r\n \r\n'.repeat(300));
  await once(socket, 'close');
  expect(received).toContain(`HTTP/1.1 ${status} `);
});

test('chunks that have been read when there are too many are skipped', async () => {
  let skipped = 0;
  const server = createServer((incoming, response) => {
    limitChunks(incoming, response, () => {
      response.end();
      // Runs before the parser passes on the next chunk.
      process.nextTick(() => {
        incoming.push = () => {
          skipped += 1;
          return false;
        };
      });
    });
    incoming.resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  socket.write(
    `POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\n \r\n'.repeat(5_000)}`,
  );
  await once(socket, 'data');
  socket.destroy();
  expect(skipped).toBeLessThan(10);
  server.close();
});

test('a request that is drained is destroyed with its connection', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const received = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  socket.write('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nthe beginning');
  const [incoming, response] = await received;
  response.end();
  drainRequest(incoming);
  await once(response, 'close');
  socket.destroy();
  await expect.poll(() => incoming.destroyed, { timeout: 5_000 }).toBe(true);
  server.close();
});
