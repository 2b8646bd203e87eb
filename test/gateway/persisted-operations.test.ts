import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { parse, print } from 'graphql';
import { createClient as createStreamClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createCircle, createConversation, createGateway } from '../../src/testing/index.ts';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

const AUTH_SECRET = 'a secret of the tests, long enough';
const ME = 'query Me { me { __typename ...Name } } fragment Name on User { firstName }';
const EVENTS =
  'subscription Events($id: ID!) { conversationEvents(conversationId: $id) { __typename ... on MessageSent { message { text } } } }';
const SEND_MESSAGE =
  'mutation SendMessage($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { text } } }';
const UPLOAD = 'mutation Upload($id: ID!, $file: Upload!) { uploadMedia(mediaId: $id, file: $file) { id } }';
const OTHER = 'query Other { me { __typename } }';

const MAP = { me: ME, events: EVENTS, [sha256(SEND_MESSAGE)]: SEND_MESSAGE, upload: UPLOAD };
const MANIFEST = {
  format: 'apollo-persisted-query-manifest',
  version: 1,
  operations: Object.entries(MAP).map(([id, body]) => ({ id, name: 'X', type: 'query', body })),
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persisted-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function writeList(content: unknown): Promise<string> {
  const path = join(folder, `${crypto.randomUUID()}.json`);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

interface Fixture extends AsyncDisposable {
  /** The gateway without a list, which runs any operation. */
  readonly open: TestGateway;
  /** The gateway with the list; runs other operations too if `operations` is `any`. */
  readonly app: TestGateway;
  readonly ann: TestAccount;
}

/** Starts a gateway with a list, and one without it to create accounts. Both share a secret and a database. */
async function startFixture(operations: 'any' | 'persisted', content: unknown = MAP): Promise<Fixture> {
  await using stack = new AsyncDisposableStack();
  const database = await openTestDatabase();
  const open = stack.use(await createGateway({ database, env: { AUTH_SECRET } }));
  const env = { AUTH_SECRET, OPERATIONS: operations, PERSISTED_OPERATIONS: await writeList(content) };
  const app = stack.use(await createGateway({ database, env }));
  const ann = await open.createAccount();
  const owned = stack.move();
  return { open, app, ann, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface TestResponse {
  readonly status?: number;
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly message: string; readonly extensions: { readonly code: string } }[];
}

type Params = Record<string, unknown>;
type Send = (app: TestGateway, token: string | undefined, params: Params) => Promise<TestResponse>;

const createHeaders = (token: string | undefined): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` };

async function readResponse(response: Response): Promise<TestResponse> {
  const text = await response.text();
  const json = text.startsWith('{') ? text : (/^data: (.+)$/m.exec(text)?.[1] ?? 'null');
  return { status: response.status, ...(JSON.parse(json) as TestResponse) };
}

const post: Send = async ({ url }, token, params) =>
  readResponse(
    await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
        ...createHeaders(token),
      },
      body: JSON.stringify(params),
    }),
  );

const get: Send = async ({ url }, token, params) => {
  const search = new URLSearchParams(
    Object.entries(params).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
  return readResponse(
    await fetch(`${url}/graphql?${search.toString()}`, {
      headers: { accept: 'application/graphql-response+json', ...createHeaders(token) },
    }),
  );
};

const sse: Send = async ({ url }, token, params) =>
  readResponse(
    await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...createHeaders(token) },
      body: JSON.stringify(params),
    }),
  );

const socket: Send = async ({ url }, token, params) => {
  await using raw = await openGraphqlSocket(url, token === undefined ? {} : { token });
  raw.send({ id: '1', type: 'subscribe', payload: params });
  const frame = await raw.next();
  return frame['type'] === 'error'
    ? { errors: frame['payload'] as NonNullable<TestResponse['errors']> }
    : (frame['payload'] as TestResponse);
};

const multipart: Send = async ({ url }, token, params) => {
  const form = new FormData();
  form.set(
    'operations',
    JSON.stringify({ ...params, variables: { ...Object(params['variables']), file: null } }),
  );
  form.set('map', JSON.stringify({ 0: ['variables.file'] }));
  form.set('0', new Blob(['x']), 'x.txt');
  return readResponse(
    await fetch(`${url}/graphql`, { method: 'POST', headers: createHeaders(token), body: form }),
  );
};

const TRANSPORTS = { post, get, sse, socket, multipart };

const createApqParams = (hash: string, version: unknown = 1) => ({
  extensions: { persistedQuery: { version, sha256Hash: hash } },
});

test.each([
  ['documentId', { documentId: 'me' }],
  ['documentId with its hash', { documentId: `sha256:${sha256(ME)}` }],
  ['the id of Relay', { id: 'me' }],
  ['doc_id of Relay', { doc_id: 'me' }],
  ['docId', { docId: 'me' }],
  ['the hash of Apollo and urql', createApqParams(sha256(ME))],
  ['the hash of the text as a client prints it', createApqParams(sha256(print(parse(ME))))],
  ['an id instead of the hash, as Apollo sends it with a manifest', createApqParams('me')],
  ['an id beside an empty text, which graphql-ws requires', { documentId: 'me', query: '' }],
  ['an id beside the text', { documentId: 'me', query: print(parse(ME)) }],
  ['an empty id beside the text', { id: '', query: ME }],
  ['its text', { query: ME }],
  [
    'its text in another format',
    { query: `\n${ME.split(' fragment ').toReversed().join('').replace('Name on', 'fragment Name on')}\n` },
  ],
])('a persisted operation runs by %s, on every transport', async (_label, params) => {
  await using fixture = await startFixture('persisted');
  for (const [transport, send] of Object.entries(TRANSPORTS))
    expect({ transport, ...(await send(fixture.app, fixture.ann.token, params)) }).toMatchObject({
      transport,
      data: { me: { __typename: 'User', firstName: 'Test' } },
    });
});

test.each([
  ['texts by id', MAP],
  ['a manifest of Apollo', MANIFEST],
  ['a file that begins with a byte order mark', `\uFEFF${JSON.stringify(MAP)}`],
])('the list may be %s', async (_label, content) => {
  await using fixture = await startFixture('persisted', content);
  expect((await post(fixture.app, fixture.ann.token, { documentId: 'me' })).data).toMatchObject({ me: {} });
});

const errorResponse = (code: string) => ({ errors: [{ extensions: { code } }] });

test.each([
  ['a document that is not in the list', { query: OTHER }],
  ['introspection', { query: '{ __schema { queryType { name } } }' }],
  ['the smallest document', { query: '{ __typename }' }],
  ['a listed document with one more field', { query: ME.replace('firstName', 'firstName lastName') }],
  ['an id that is not in the list', { documentId: 'other' }],
  ['an id of Relay that is not in the list', { id: 'other', query: null }],
  [
    'the hash of a text that is not in the list, with the text',
    { query: OTHER, ...createApqParams(sha256(OTHER)) },
  ],
])('with OPERATIONS=persisted %s is rejected on every transport', async (_label, params) => {
  await using fixture = await startFixture('persisted');
  for (const [transport, send] of Object.entries(TRANSPORTS)) {
    if (transport === 'get' && 'id' in params && params.query === null) continue;
    // Twice, as the first attempt must not register it.
    for (const _round of [1, 2]) {
      const response = await send(fixture.app, fixture.ann.token, params);
      expect({ transport, ...response }).toMatchObject(errorResponse('PERSISTED_QUERY_NOT_IN_LIST'));
      expect(response.data).toBeUndefined();
    }
  }
});

test('documents rejected over HTTP are also rejected over SSE, multipart and WebSocket', async () => {
  await using fixture = await startFixture('persisted');
  const text = fc.constantFrom(undefined, null, '', ME, OTHER, print(parse(ME)), '{', `${ME} ${OTHER}`);
  const id = fc.constantFrom(
    undefined,
    null,
    '',
    'me',
    'events',
    'other',
    sha256(ME),
    `sha256:${sha256(ME)}`,
  );
  const hash = fc.constantFrom(undefined, sha256(ME), sha256(OTHER), 'me', 'x');
  const request = fc.record({ query: text, documentId: id, hash, version: fc.constantFrom(1, 2) });
  const readOutcome = ({ data, errors }: TestResponse) =>
    data?.['me'] === undefined ? (errors?.[0]?.extensions.code ?? 'nothing') : 'runs';
  await fc.assert(
    fc.asyncProperty(request, async ({ query, documentId, hash: sha256Hash, version }) => {
      const params = {
        query,
        documentId,
        ...(sha256Hash !== undefined && createApqParams(sha256Hash, version)),
      };
      // graphql-ws closes the connection for a payload without a document, as its protocol requires.
      fc.pre(typeof query === 'string' || (documentId ?? '') !== '' || sha256Hash !== undefined);
      // An accepted stream has no result to compare.
      fc.pre(documentId !== 'events');
      const outcomes = await Promise.all(
        Object.values({ post, sse, socket, multipart }).map(async (send) =>
          readOutcome(await send(fixture.app, fixture.ann.token, params)),
        ),
      );
      expect(new Set(outcomes).size, JSON.stringify({ params, outcomes })).toBe(1);
    }),
    { numRuns: 60 },
  );
});

test('without OPERATIONS=persisted, documents outside the list also run', async () => {
  await using fixture = await startFixture('any');
  for (const [transport, send] of Object.entries(TRANSPORTS))
    for (const params of [{ documentId: 'me' }, { query: OTHER }])
      expect({ transport, ...(await send(fixture.app, fixture.ann.token, params)) }).toMatchObject({
        data: { me: { __typename: 'User' } },
      });
});

test('without a list, an id is rejected with the name of the setting, and introspection runs', async () => {
  await using app = await startTestApp();
  expect(await post(app, undefined, { documentId: 'me' })).toMatchObject({
    status: 400,
    errors: [
      {
        message: 'This server has no persisted operations: `PERSISTED_OPERATIONS` is not set.',
        extensions: { code: 'PERSISTED_QUERY_NOT_IN_LIST' },
      },
    ],
  });
});

test('an unknown hash is rejected with the message that Apollo and urql expect, and registered when its text is sent', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  for (const [transport, send] of Object.entries(TRANSPORTS)) {
    const query = `query By${transport} { me { __typename } }`;
    const hash = createApqParams(sha256(query));
    const unknown = await send(app, ann.token, hash);
    expect(unknown.errors).toEqual([
      expect.objectContaining({
        message: 'PersistedQueryNotFound',
        extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' },
      }),
    ]);
    expect(unknown.data).toBeUndefined();
    // Apollo's clients for iOS and Android handle only this response.
    if ('status' in unknown) expect(unknown.status).toBe(200);
    expect(await send(app, ann.token, { query, ...hash })).toMatchObject({ data: { me: {} } });
    for (const other of Object.values(TRANSPORTS))
      expect(await other(app, ann.token, hash)).toMatchObject({ data: { me: {} } });
  }
});

test('a text is not registered under the hash of another one, nor if it is invalid', async () => {
  await using app = await startTestApp();
  const hash = sha256(OTHER);
  for (const send of Object.values(TRANSPORTS)) {
    expect(await send(app, undefined, { query: '{ __typename }', ...createApqParams(hash) })).toMatchObject(
      errorResponse('INVALID_INPUT'),
    );
    expect(await send(app, undefined, createApqParams(hash))).toMatchObject(
      errorResponse('PERSISTED_QUERY_NOT_FOUND'),
    );
    const invalid = 'query Invalid { nothing }';
    expect(await send(app, undefined, { query: invalid, ...createApqParams(sha256(invalid)) })).toMatchObject(
      errorResponse('INVALID_INPUT'),
    );
    expect(await send(app, undefined, createApqParams(sha256(invalid)))).toMatchObject(
      errorResponse('PERSISTED_QUERY_NOT_FOUND'),
    );
  }
});

test('another version of the protocol is rejected as unsupported, so that clients send texts', async () => {
  await using app = await startTestApp();
  for (const send of Object.values(TRANSPORTS)) {
    expect(await send(app, undefined, createApqParams(sha256(OTHER), 2))).toMatchObject({
      errors: [
        { message: 'PersistedQueryNotSupported', extensions: { code: 'PERSISTED_QUERY_NOT_SUPPORTED' } },
      ],
    });
    expect(await send(app, undefined, { query: '{ __typename }', ...createApqParams('x', 2) })).toMatchObject(
      {
        data: { __typename: 'Query' },
      },
    );
  }
});

test('the least recently used text is evicted, and registered again', async () => {
  await using app = await startTestApp();
  const createQuery = (name: number) => `query Q${name} { __typename } # ${'x'.repeat(200_000)}`;
  for (let name = 0; name < 6; name += 1)
    await post(app, undefined, { query: createQuery(name), ...createApqParams(sha256(createQuery(name))) });
  const isKnown = async (name: number) =>
    (await post(app, undefined, createApqParams(sha256(createQuery(name))))).data !== undefined;
  expect(await isKnown(5)).toBe(true);
  expect(await isKnown(0)).toBe(false);
  await post(app, undefined, { query: createQuery(0), ...createApqParams(sha256(createQuery(0))) });
  expect(await isKnown(0)).toBe(true);
});

test('an id with the text of another document is rejected', async () => {
  await using fixture = await startFixture('any');
  for (const send of Object.values(TRANSPORTS))
    for (const reference of [{ documentId: 'me' }, createApqParams(sha256(ME))])
      expect(await send(fixture.app, fixture.ann.token, { query: OTHER, ...reference })).toMatchObject(
        errorResponse('INVALID_INPUT'),
      );
});

test('graphql-ws and graphql-sse clients subscribe by id, and receive the same as by text', async () => {
  await using fixture = await startFixture('persisted');
  const circle = await createCircle(fixture.ann);
  const { id } = await createConversation(fixture.ann, circle);
  const url = fixture.app.url;
  const headers = createHeaders(fixture.ann.token);
  const sockets = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { token: fixture.ann.token },
  });
  const streams = createStreamClient({ url: `${url}/graphql`, headers });
  const variables = { id };
  const readers = [
    sockets.iterate({ query: '', documentId: 'events', variables } as never),
    sockets.iterate({ query: EVENTS, variables }),
    sockets.iterate({ query: '', ...createApqParams(sha256(EVENTS)), variables }),
    streams.iterate({ documentId: 'events', variables } as never),
    streams.iterate({ query: EVENTS, variables }),
  ];
  for (const reader of readers)
    expect((await reader.next()).value).toMatchObject({
      data: { conversationEvents: { __typename: 'StreamLive' } },
    });
  await post(fixture.app, fixture.ann.token, {
    documentId: sha256(SEND_MESSAGE),
    variables: { id, text: 'Hello' },
  });
  for (const reader of readers)
    expect((await reader.next()).value).toEqual({
      data: { conversationEvents: { __typename: 'MessageSent', message: { text: 'Hello' } } },
    });
  for (const reader of readers) await reader.return?.();
  await sockets.dispose();
  streams.dispose();
});

test('an upload runs by its id', async () => {
  await using fixture = await startFixture('persisted');
  const form = new FormData();
  form.set(
    'operations',
    JSON.stringify({ documentId: 'upload', variables: { id: 'Media:999', file: null } }),
  );
  form.set('map', JSON.stringify({ 0: ['variables.file'] }));
  form.set('0', new Blob(['x']), 'x.txt');
  const response = await fetch(`${fixture.app.url}/graphql`, {
    method: 'POST',
    headers: createHeaders(fixture.ann.token),
    body: form,
  });
  expect(await readResponse(response)).toMatchObject(errorResponse('NOT_FOUND'));
});

test('legacy clients work when only persisted operations run', async () => {
  await using fixture = await startFixture('persisted');
  const circle = await createCircle(fixture.ann);
  const conversation = await createConversation(fixture.ann, circle);
  const legacyClient = await fixture.app.connectLegacy();
  expect(await legacyClient.push('authenticate', { token: fixture.ann.token })).toBe('User authenticated');
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  await legacyClient.push('message', { conversation_id: conversation.legacyId, text_message: 'Hello' });
  legacyClient.close();
});

test('GraphiQL states that only persisted operations run, exactly if they do', async () => {
  for (const operations of ['persisted', 'any'] as const) {
    await using fixture = await startFixture(operations);
    const page = await (
      await fetch(`${fixture.app.url}/graphql`, { headers: { accept: 'text/html' } })
    ).text();
    expect(page.includes('OPERATIONS=persisted')).toBe(operations === 'persisted');
  }
});

test('every problem of the list is reported, and the gateway does not start', async () => {
  const documents = {
    fine: ME,
    syntax: 'query {',
    field: 'query Fields { nothing alsoNothing }',
    fragment: 'fragment F on User { id }',
  };
  const path = await writeList(documents);
  const starting = startTestApp({ env: { PERSISTED_OPERATIONS: path } });
  await expect(starting).rejects.toThrow(
    [
      `Cannot read the persisted operations in ${path} (PERSISTED_OPERATIONS): 5 problem(s):`,
      '  syntax: Syntax Error: Expected Name, found <EOF>.',
      '  field (Fields): Cannot query field "nothing" on type "Query".',
      '  field (Fields): Cannot query field "alsoNothing" on type "Query".',
      '  fragment: Fragment "F" is never used.',
      '  fragment: It contains no operation.',
    ].join('\n'),
  );
});

test.each([
  ['[]', 'the file must contain JSON'],
  ['{', 'the file must contain JSON'],
  ['{"a": 1}', 'the file must contain JSON'],
  [{ ...MANIFEST, version: 2 }, 'the file must contain JSON'],
  [
    {
      ...MANIFEST,
      operations: [
        { id: 'a', body: ME },
        { id: 'a', body: OTHER },
      ],
    },
    'The id is used twice',
  ],
])('a list of %o is rejected at start', async (content, message) => {
  await expect(startTestApp({ env: { PERSISTED_OPERATIONS: await writeList(content) } })).rejects.toThrow(
    message,
  );
});

test('a gateway does not start with a missing list, or with OPERATIONS=persisted and no list', async () => {
  await expect(startTestApp({ env: { PERSISTED_OPERATIONS: '/nowhere.json' } })).rejects.toThrow(
    /^Cannot read the persisted operations in \/nowhere\.json \(PERSISTED_OPERATIONS\): /,
  );
  await expect(startTestApp({ env: { OPERATIONS: 'persisted' } })).rejects.toThrow(
    'PERSISTED_OPERATIONS: is required with OPERATIONS=persisted',
  );
});
