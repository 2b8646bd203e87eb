import { once } from 'node:events';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { schema } from '../../src/schema/index.ts';
import type { GraphqlClient, GraphqlError } from '../../src/testing/index.ts';
import { openEventStream } from '../harness/event-stream.ts';
import { createFuzzAccounts, listExamples } from './accounts.ts';
import type { FuzzAccounts } from './accounts.ts';
import { expectDocumented, expectDocumentedResponse } from './documented.ts';
import { drawEdited, draws } from './draw.ts';
import type { Draw } from './draw.ts';
import { TIMEOUT_MS, fuzz } from './fuzz.ts';
import { drawOperation } from './operations.ts';
import { startFuzzServer } from './server.ts';
import type { FuzzServer } from './server.ts';

let server: FuzzServer;
let accounts: FuzzAccounts;

beforeAll(async () => {
  server = await startFuzzServer();
  accounts = await createFuzzAccounts(server.url);
});

afterAll(async () => {
  await accounts[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

afterEach(() => server.expectHealthy());

/** Operations log accounts out and delete what they name: new accounts every so often, and after a token has ended. */
const RUNS_PER_ACCOUNTS = 200;

async function renewAccounts(): Promise<void> {
  await accounts[Symbol.asyncDispose]();
  accounts = await createFuzzAccounts(server.url);
}

const drawDocument = (draw: Draw, type: 'query' | 'mutation' | 'subscription'): string => {
  const valid = drawOperation(draw, schema, type, listExamples(accounts), ['logout']);
  return draw.oneIn(5) ? drawEdited(draw, valid) : valid;
};

const listClients = (): readonly GraphqlClient[] => {
  const { ann, bob, device, anonymous } = accounts;
  return [ann.graphql, bob.graphql, ann.graphql, bob.graphql, device.graphql, anonymous];
};

test('any operation gets a result, or documented errors', { timeout: TIMEOUT_MS }, async () => {
  let runsLeft = RUNS_PER_ACCOUNTS;
  const property = fc.asyncProperty(draws(), async (draw) => {
    runsLeft -= 1;
    if (runsLeft <= 0) {
      runsLeft = RUNS_PER_ACCOUNTS;
      await renewAccounts();
    }
    const document = drawDocument(draw, draw.pick('query', 'mutation'));
    const client = draw.pickFrom(listClients());
    const { data, errors } = await client.send(document);
    expect(data !== undefined || errors !== undefined).toBe(true);
    expectDocumented(errors, document);
    if (errors?.[0]?.message === 'The token is not valid.') runsLeft = 0;
  });
  await fuzz(property, 600);
});

/** Close codes that input may cause: those of the protocol, and of WebSockets for frames that are not text, or too large. */
const CLOSE_CODES = [1002, 1003, 1007, 1009, 4400, 4401, 4403, 4408, 4409, 4429];

const FRAME_TYPES = [
  'connection_init',
  'ping',
  'pong',
  'subscribe',
  'complete',
  'next',
  'error',
  'connection_ack',
  '',
];

function drawFrame(draw: Draw): string | Buffer {
  if (draw.oneIn(20)) return Buffer.from(draw.text(20));
  const id = draw.pickFrom<unknown>(['1', '2', '3', '', '__proto__', 1, null]);
  const payload = draw.pick<() => unknown>(
    () => ({ query: drawDocument(draw, draw.pick('query', 'mutation', 'subscription')) }),
    () => ({
      query: drawDocument(draw, 'subscription'),
      variables: draw.pick<unknown>(null, {}, [], { a: [{}] }, 'x'),
    }),
    () => ({
      query: '{ __typename }',
      operationName: draw.pickFrom<unknown>([null, '', 'A', 1]),
      extensions: draw.pickFrom<unknown>([null, {}, 1]),
    }),
    () => ({ token: draw.pickFrom([accounts.ann.token, drawEdited(draw, accounts.ann.token), '']) }),
    () => draw.pick<unknown>(undefined, null, 1, 'x', [], {}),
  )();
  const frame = JSON.stringify({ type: draw.pickFrom(FRAME_TYPES), id, payload });
  return draw.oneIn(5) ? drawEdited(draw, frame) : frame;
}

interface ServerFrame {
  readonly type: string;
  readonly payload?: unknown;
}

function expectDocumentedFrame({ type, payload }: ServerFrame): void {
  expect(['connection_ack', 'ping', 'pong', 'next', 'error', 'complete']).toContain(type);
  if (type === 'error') expectDocumented(payload as readonly GraphqlError[]);
  if (type === 'next') expectDocumented((payload as { errors?: readonly GraphqlError[] }).errors);
}

test(
  'any frames of graphql-ws get documented frames, or a documented close',
  { timeout: TIMEOUT_MS },
  async () => {
    await renewAccounts();
    const property = fc.asyncProperty(draws(), async (draw) => {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
      const frames: ServerFrame[] = [];
      const closed = once(socket, 'close');
      const fence = new Promise<void>((resolve) => {
        socket.on('message', (data: Buffer) => {
          const frame = JSON.parse(data.toString()) as ServerFrame;
          frames.push(frame);
          if (frame.type === 'pong' && (frame.payload as { fence?: boolean } | undefined)?.fence === true)
            resolve();
        });
      });
      await once(socket, 'open');
      if (!draw.oneIn(4))
        socket.send(JSON.stringify({ type: 'connection_init', payload: { token: accounts.ann.token } }));
      for (let count = 1 + draw.nat(5); count > 0; count -= 1) socket.send(drawFrame(draw));
      socket.send(JSON.stringify({ type: 'ping', payload: { fence: true } }));
      await Promise.race([fence, closed]);
      // All frames have been read. Without a protocol error, operations may still be in flight.
      const isOpen = socket.readyState === WebSocket.OPEN;
      if (isOpen) socket.close(1000);
      const [code] = (await closed) as [number];
      if (!isOpen) expect(CLOSE_CODES).toContain(code);
      for (const frame of frames) expectDocumentedFrame(frame);
    });
    await fuzz(property, 250);
  },
);

test('any cursor resumes its stream, or is rejected', { timeout: TIMEOUT_MS }, async () => {
  await renewAccounts();
  const { ann, circle, conversation, cursors } = accounts;
  const property = fc.asyncProperty(draws(), async (draw) => {
    const valid = draw.pickFrom(cursors);
    const decoded = Buffer.from(valid, 'base64url').toString();
    const after = draw.pick(
      () => valid,
      () => drawEdited(draw, valid).toWellFormed(),
      () => Buffer.from(drawEdited(draw, decoded)).toString('base64url'),
      () =>
        Buffer.from(decoded.replace(/\d+$/, draw.pick('-1', '0', '1e3', '999999999999', 'NaN', ''))).toString(
          'base64url',
        ),
      () => draw.text(30),
    )();
    const field = draw.pick(
      `circleEvents(circleId: "${circle.id}", after: $after)`,
      `conversationEvents(conversationId: "${conversation.id}", after: $after)`,
      'inboxEvents(after: $after)',
    );
    const isHeader = draw.oneIn(4) && /^[\x21-\x7e]+$/.test(after);
    using stream = await openEventStream(server.url, {
      token: ann.token,
      query: `subscription ($after: Cursor) { ${field} { __typename } }`,
      variables: isHeader ? {} : { after },
      headers: isHeader ? { 'last-event-id': after } : {},
    });
    const { data, errors } = await readFirstResult(stream.response);
    if (errors === undefined) expect(data).not.toBe(null);
    else
      expect(['CURSOR_INVALID', 'CURSOR_EXPIRED', 'INVALID_INPUT']).toContain(
        errors[0]?.extensions?.['code'],
      );
  });
  await fuzz(property, 200);
});

test('no changed token is accepted', { timeout: TIMEOUT_MS }, async () => {
  const { ann, bob } = accounts;
  const property = fc.asyncProperty(draws(), async (draw) => {
    const token = drawToken(draw, ann.token, bob.token);
    if (token === undefined) return;
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ query: '{ me { __typename } }' });
    const response = await fetch(`${server.url}/graphql`, { method: 'POST', headers, body });
    const text = await expectDocumentedResponse(response);
    expect([response.status, text.includes('UNAUTHENTICATED')], token).toEqual([401, true]);
    const media = await fetch(`${server.url}/media/${accounts.media.legacyId}`, {
      headers: { authorization: token },
    });
    await expectDocumentedResponse(media);
    expect(media.status).toBe(401);
  });
  await fuzz(property, 200);
});

/** Returns a token that differs from both in its bytes; undefined if it can be no header. */
function drawToken(draw: Draw, token: string, other: string): string | undefined {
  const parts = token.split('.');
  const index = draw.nat(2);
  const drawn = draw.pick(
    () => drawEdited(draw, token),
    () =>
      [...parts.slice(0, index), drawEdited(draw, parts[index] ?? ''), ...parts.slice(index + 1)].join('.'),
    () => [parts[0], drawClaims(draw, parts[1] ?? ''), parts[2]].join('.'),
    () => [drawHeader(draw), parts[1], draw.pick(parts[2], '')].join('.'),
    () => [parts[0], other.split('.')[1], parts[2]].join('.'),
    () => parts.slice(0, index).join('.'),
  )();
  const isHeader = /^[\x21-\x7e]+$/.test(drawn);
  // The last character of a part has bits that no byte uses.
  const decode = (text: string) =>
    text
      .split('.')
      .map((part) => Buffer.from(part, 'base64url').toString('hex'))
      .join('.');
  return isHeader && ![token, other].some((valid) => decode(valid) === decode(drawn)) ? drawn : undefined;
}

const encodeJson = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function drawClaims(draw: Draw, part: string): string {
  const claims = JSON.parse(Buffer.from(part, 'base64url').toString()) as object;
  const [name, value] = draw.pickFrom<[string, unknown]>([
    ['sub', accounts.bob.legacyId],
    ['sub', ['1']],
    ['kind', 'device'],
    ['kind', 'admin'],
    ['exp', 99_999_999_999],
    ['exp', '1'],
    ['jti', { $ne: 1 }],
  ]);
  return encodeJson({ ...claims, [name]: value });
}

const drawHeader = (draw: Draw): string =>
  encodeJson({
    alg: draw.pick('none', 'None', 'HS256', 'HS512', 'RS256', 'ES256', 'A128KW', '', null),
    ...draw.pick<object>(
      {},
      { jwk: { kty: 'oct', k: 'AAAA' } },
      { kid: '../../dev/null' },
      { crit: ['b64'], b64: false },
    ),
  });

/** Far more than any response takes, and less than an idle connection stays open. */
const RESPONSE_TIMEOUT_MS = 20_000;

const HASH = 'ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38';

/** The parameters of a request, of any types. */
function drawParameters(draw: Draw): Record<string, unknown> {
  const odd: readonly unknown[] = [null, 1, '', 'x', [], {}, [[]], { __proto__: null, constructor: 1 }, true];
  const names = [
    'query',
    'variables',
    'operationName',
    'extensions',
    'documentId',
    'id',
    '__proto__',
  ] as const;
  const parameters: Record<string, unknown> = draw.oneIn(4) ? {} : { query: '{ __typename }' };
  for (let count = draw.nat(3); count > 0; count -= 1) parameters[draw.pickFrom(names)] = draw.pickFrom(odd);
  if (draw.oneIn(3))
    parameters['extensions'] = {
      persistedQuery: draw.pickFrom<unknown>([
        { version: draw.nat(2), sha256Hash: draw.pick<unknown>(HASH, 'x', 1) },
        ...odd,
      ]),
    };
  return parameters;
}

test('any parameters of GraphQL over HTTP get a documented response', { timeout: TIMEOUT_MS }, async () => {
  await renewAccounts();
  const types = [
    'application/json',
    'application/graphql',
    'application/x-www-form-urlencoded',
    'text/plain',
    'application/json; charset=utf-16',
    '',
  ];
  const accepts = [
    'application/json',
    'application/graphql-response+json',
    'text/event-stream',
    'multipart/mixed',
    'image/png',
    '*/*',
    ',;q=x',
  ];
  const property = fc.asyncProperty(draws(), async (draw) => {
    const parameters = drawParameters(draw);
    const json = JSON.stringify(draw.oneIn(8) ? [parameters] : parameters);
    const fields = Object.entries(parameters).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]);
    const type = draw.pickFrom(types);
    const isForm = type.endsWith('urlencoded') || draw.oneIn(5);
    const text = isForm ? new URLSearchParams(fields).toString() : json;
    const body = draw.oneIn(4) ? drawEdited(draw, text).toWellFormed() : text;
    const abort = new AbortController();
    const headers = {
      accept: draw.pickFrom(accepts),
      authorization: `Bearer ${accounts.ann.token}`,
      ...(type === '' ? {} : { 'content-type': type }),
    };
    const method = draw.pick<'GET' | 'POST' | 'PUT'>('GET', 'POST', 'POST', 'PUT');
    const query =
      method === 'GET'
        ? `?${isForm ? body.replaceAll('#', '') : new URLSearchParams(fields).toString()}`
        : '';
    const response = await fetch(`${server.url}/graphql${query}`, {
      method,
      headers,
      signal: abort.signal,
      ...(method === 'GET' ? {} : { body }),
    });
    await expectDocumentedResponse(response);
    abort.abort();
  });
  await fuzz(property, 250);
});

test('any multipart request gets a documented response', { timeout: TIMEOUT_MS }, async () => {
  await renewAccounts();
  const property = fc.asyncProperty(draws(), async (draw) => {
    const isUpload = draw.oneIn(3);
    const path = isUpload
      ? `/media/upload/${draw.pickFrom([String(accounts.media.legacyId), '0', 'x', '9'.repeat(30)])}`
      : '/graphql';
    const boundary = draw.pick('b', 'b', 'b', '', '"b', 'b'.repeat(80));
    const { body, type } = drawMultipart(draw, boundary, isUpload);
    const signal = AbortSignal.timeout(RESPONSE_TIMEOUT_MS);
    const response = await fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: {
        'content-type': type,
        authorization: `Bearer ${draw.pick(accounts.ann, accounts.bob, accounts.device).token}`,
        'apollo-require-preflight': 'true',
      },
      body: new Uint8Array(body),
      signal,
    }).catch((error: unknown) => {
      // The server may close a connection whose request is malformed, but not leave it open.
      if (signal.aborted) throw error;
    });
    if (response !== undefined) await expectDocumentedResponse(response);
  });
  await fuzz(property, 250);
});

function drawMultipart(draw: Draw, boundary: string, isUpload: boolean): { body: Buffer; type: string } {
  const { media } = accounts;
  const query = `mutation ($file: Upload!) { uploadMedia(mediaId: "${media.id}", file: $file) { id } }`;
  const variable = draw.pick('file', 'file', 'file', '__proto__', 'constructor', 'files.0', '');
  const parts = [
    `name="operations"\r\n\r\n${JSON.stringify({ query, variables: draw.pick<unknown>({ file: null }, {}, null, []) })}`,
    `name="map"\r\n\r\n${JSON.stringify(draw.pick<unknown>({ 0: [`variables.${variable}`] }, {}, null, { 0: [] }))}`,
    `name="${draw.pick('0', '0', 'file', '1')}"; filename="${draw.pick('a.png', '../a', '', 'a\u0000b', 'é')}"\r\n${draw.pick('', 'Content-Type: text/html\r\n', 'Content-Transfer-Encoding: base64\r\n')}\r\n${draw.pick('', '!')}${'x'.repeat(draw.nat(80_000))}`,
    `name="file"; filename="b.txt"\r\n\r\ncontent`,
  ];
  const chosen = isUpload ? parts.slice(2) : parts;
  if (draw.oneIn(4)) chosen.splice(draw.nat(chosen.length - 1), 1);
  if (draw.oneIn(4)) chosen.push(draw.pickFrom(parts));
  const text = chosen.map((part) => `--${boundary}\r\nContent-Disposition: form-data; ${part}\r\n`).join('');
  const ended = `${text}--${boundary}${draw.pick('--', '--', '--\r\n', '')}`;
  const type = `multipart/form-data; boundary=${boundary}`;
  return {
    body: Buffer.from(draw.oneIn(3) ? drawEdited(draw, ended) : ended),
    type: draw.oneIn(10) ? drawEdited(draw, type).replaceAll(/[^\x20-\x7e]/g, '') : type,
  };
}

async function readFirstResult({
  body,
}: Response): Promise<{ data?: unknown; errors?: readonly GraphqlError[] }> {
  let text = '';
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    const [, data] = /^data: (.+)$/m.exec(text) ?? [];
    if (data !== undefined && text.endsWith('\n\n')) return JSON.parse(data) as { data?: unknown };
  }
  return JSON.parse(text) as { data?: unknown };
}
