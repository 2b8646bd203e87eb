import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { receiveFile } from '../../src/gateway/http/multipart.ts';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';

/** Posts an operation with a file as its variable `file`. */
async function postFile(app: TestGateway, account: TestAccount, query: string): Promise<unknown> {
  const form = new FormData();
  form.set('operations', JSON.stringify({ query, variables: { file: null } }));
  form.set('map', JSON.stringify({ 0: ['variables.file'] }));
  form.set('0', new File(['hello'], 'a.txt'));
  const headers = { authorization: `Bearer ${account.token}` };
  return (await fetch(`${app.url}/graphql`, { method: 'POST', headers, body: form })).json();
}

test('a file that an operation uses twice is stored once, and the second use is rejected', async () => {
  await using app = await startTestApp();
  const { ann, conversation } = await createAnnAndBob(app);
  const { sendMessage: result } = await sendMessage(ann, conversation, 'two', ['a', 'b']);
  const [first, second] = result.media.map(({ legacyId }) => `Media:${legacyId}`);
  const response = await postFile(
    app,
    ann,
    `mutation ($file: Upload!) {
      one: uploadMedia(mediaId: "${first}", file: $file) { size }
      two: uploadMedia(mediaId: "${second}", file: $file) { size }
    }`,
  );
  expect(response).toMatchObject({ errors: [{ path: ['two'], extensions: { code: 'INVALID_INPUT' } }] });
  expect(
    await ann.graphql.run(`{ nodes(ids: ["${first}", "${second}"]) { ... on Media { size } } }`),
  ).toEqual({ nodes: [{ size: 5 }, { size: null }] });
});

test('an upload above the daily quota is RATE_LIMITED with Retry-After, over both routes', async () => {
  await using app = await startTestApp({ env: { UPLOAD_QUOTA_BYTES: '4' } });
  const { ann, conversation } = await createAnnAndBob(app);
  const { sendMessage: result } = await sendMessage(ann, conversation, 'text', ['a']);
  const [legacyId] = result.media.map((file) => file.legacyId);
  const form = new FormData();
  form.set('file', new File(['hello'], 'a.txt'));
  const response = await fetch(`${app.url}/media/upload/${legacyId}`, {
    method: 'POST',
    headers: { authorization: ann.token },
    body: form,
  });
  expect(response.status).toBe(429);
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await response.json()).toMatchObject({
    success: false,
    message: 'Trop de requetes',
    code: 'RATE_LIMITED',
  });
  const mutation = `mutation ($file: Upload!) { uploadMedia(mediaId: "Media:${legacyId}", file: $file) { size } }`;
  expect(await postFile(app, ann, mutation)).toMatchObject({
    errors: [{ extensions: { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) as number } }],
  });
});

test('a client that sends a whole file before reading receives the error', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const boundary = 'boundary';
  const createPart = (name: string, text: string) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;
  const query = 'mutation ($file: Upload!) { uploadMedia(mediaId: "Media:1", file: $file) { id } }';
  const body = Buffer.concat([
    Buffer.from(
      createPart('operations', JSON.stringify({ query })) + createPart('map', '{"0":["variables.file"]}'),
    ),
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="0"; filename="a"\r\n\r\n`),
    Buffer.alloc(5 * 1024 * 1024),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  const { hostname, port } = new URL(app.url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST /graphql HTTP/1.1\r\nHost: test\r\nAuthorization: ${ann.token}\r\n` +
      `Content-Type: multipart/form-data; boundary=${boundary}\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  await new Promise((resolve, reject) => socket.once('error', reject).write(body, resolve));
  let response = '';
  for await (const chunk of socket) if ((response += String(chunk)).includes('}')) break;
  expect(response).toContain('HTTP/1.1 200 OK');
  expect(response).toContain('"code":"NOT_FOUND"');
});

test('a subscription with a file is INVALID_INPUT', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  expect(await postFile(app, ann, 'subscription { inboxEvents { __typename } }')).toMatchObject({
    errors: [{ extensions: { code: 'INVALID_INPUT' } }],
  });
});

test('a request that is too large is LIMIT_EXCEEDED', async () => {
  await using app = await startTestApp();
  const query = `{ __typename } # ${'x'.repeat(2 * 1024 * 1024)}`;
  expect(await app.graphql.send(query)).toMatchObject({
    status: 413,
    errors: [{ extensions: { code: 'LIMIT_EXCEEDED' } }],
  });
});

test('a file for a variable of another type is rejected by its name, without internal details', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const response = await postFile(
    app,
    ann,
    'mutation ($file: ID!) { deleteMessage(messageId: $file) { id } }',
  );
  expect(response).toMatchObject({ errors: [{ extensions: { code: 'INVALID_INPUT', field: 'messageId' } }] });
  expect(JSON.stringify(response)).toContain('a.txt');
  expect(JSON.stringify(response)).not.toContain('_events');
});

test('what uploads send before their file is counted, and the oldest of them is refused beyond the total', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const field = `--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n${'x'.repeat(126 * 1024)}\r\n`;
  const body = field.repeat(10);
  const { hostname, port } = new URL(app.url);
  const open = async (): Promise<Socket> => {
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    socket.write(
      `POST /media/upload/1 HTTP/1.1\r\nHost: a\r\nAuthorization: ${ann.token}\r\nContent-Length: 9000000\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n`,
    );
    await new Promise((resolve) => socket.write(body, resolve));
    return socket;
  };
  const oldest = await open();
  const response = text(oldest);
  const others: Socket[] = [];
  const readMetrics = async () => (await fetch(`${app.url}/metrics`)).text();
  while (!/parley_refusals_total\{limit="bytes"\} [1-9]/.test(await readMetrics())) others.push(await open());
  expect(others.length).toBeGreaterThan(20);
  expect(await response).toMatch(/^HTTP\/1\.1 429 [^]*"RATE_LIMITED"/);
  for (const socket of others) socket.destroy();
});

test('of an upload that has reached its file, only the fields are counted', async () => {
  const held: number[] = [];
  const { promise: read, resolve: resolveRead } = Promise.withResolvers<string>();
  const server = createServer((request, response) => {
    receiveFile(
      request,
      ({ content }) => text(content).then(resolveRead),
      (bytes) => held.push(bytes),
    ).then(() => response.end('ok'), resolveRead);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const form = new FormData();
  form.set('name', 'x'.repeat(50_000));
  form.set('file', new File(['y'.repeat(500_000)], 'a.txt'));
  const { port } = server.address() as AddressInfo;
  await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: form });
  expect(await read).toHaveLength(500_000);
  expect(Math.max(...held)).toBeGreaterThan(50_000);
  expect(held.at(-1)).toBe(50_004);
  server.close();
});
