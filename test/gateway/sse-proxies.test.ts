import { once } from 'node:events';
import { createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import compression from 'compression';
import { describe, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { startNginx } from '../harness/nginx.ts';
import type { Proxy } from '../harness/nginx.ts';
import { isMissing } from '../harness/installed-programs.ts';

// Events over SSE must pass a proxy immediately, although it compresses or buffers responses.

/** Shorter than the heartbeat interval: a heartbeat would flush what a proxy buffers. */
const DEADLINE_MS = 6_000;

/** Starts a proxy with Express's compression middleware. */
async function startCompressingProxy(upstream: string): Promise<Proxy> {
  const compress = compression({ threshold: 0, filter: () => true });
  const server = createServer((request, response) => {
    // The middleware uses none of the properties that Express adds to Node's types.
    compress(request as never, response as never, () => {
      const { url, method, headers } = request;
      const upstreamRequest = send(new URL(url ?? '/', upstream), { method, headers }, (upstreamResponse) => {
        response.writeHead(upstreamResponse.statusCode ?? 502, upstreamResponse.headers);
        upstreamResponse.pipe(response);
      });
      upstreamRequest.on('error', () => response.destroy());
      response.once('close', () => upstreamRequest.destroy());
      request.pipe(upstreamRequest);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Subscribes through a proxy, and expects each event to arrive completely before the next is published. */
async function expectEventsWithoutDelay(startProxy: (upstream: string) => Promise<Proxy>): Promise<void> {
  await using app = await startTestApp();
  await using proxy = await startProxy(app.url);
  const ann = await app.createAccount();
  const { createCircle } = await ann.graphql.run<{ createCircle: { id: string } }>(
    'mutation { createCircle(name: "before") { id } }',
  );
  const abort = new AbortController();
  const response = await fetch(`${proxy.url}/graphql`, {
    method: 'POST',
    signal: AbortSignal.any([abort.signal, AbortSignal.timeout(DEADLINE_MS)]),
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      'accept-encoding': 'gzip, deflate, br',
      authorization: `Bearer ${ann.token}`,
    },
    body: JSON.stringify({
      query: `subscription { circleEvents(circleId: "${createCircle.id}") { __typename } }`,
    }),
  });
  let text = '';
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const readUntil = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(text)) text += (await reader?.read())?.value ?? '';
  };
  await readUntil(/"StreamLive"[^\n]*\n\n$/);
  for (const name of ['one', 'two']) {
    text = '';
    await ann.graphql.run(
      `mutation { updateCircle(circleId: "${createCircle.id}", name: "${name}") { id } }`,
    );
    await readUntil(/"CircleUpdated"[^\n]*\n\n$/);
  }
  abort.abort();
}

test('events pass a compressing proxy without delay', async () => {
  await expectEventsWithoutDelay(startCompressingProxy);
});

describe.skipIf(isMissing('nginx'))('nginx', () => {
  test.each([
    ['in its default configuration', ''],
    [
      'with compression',
      'gzip on; gzip_proxied any; gzip_min_length 0; gzip_types *; gzip_http_version 1.0;',
    ],
    [
      'with HTTP/1.1 to the gateway',
      'proxy_http_version 1.1; proxy_set_header Connection ""; gzip on; gzip_types *;',
    ],
  ])('events of a subscription pass nginx %s without delay', async (_label, directives) => {
    await expectEventsWithoutDelay((upstream) => startNginx(upstream, directives));
  });
});
