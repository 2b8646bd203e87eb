import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createCircle } from '../../src/testing/index.ts';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';

const AUTH_SECRET = 'a secret of the tests, long enough';
const LOGIN =
  'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }';
const CREATE_ACCOUNT = `mutation ($input: CreateAccountInput!) { createAccount(input: $input) { token } }`;
const ME = '{ me { ... on User { id } } }';
const INBOX = 'subscription { inboxEvents { __typename } }';
const INVALID = /^Bearer realm="parley", error="invalid_token", error_description="[^"]+"$/;

interface TestResponse {
  readonly status: number;
  readonly challenge: string | null;
  readonly body: {
    readonly data?: Record<string, never> | null;
    readonly errors?: readonly { message: string; extensions: { code: string } }[];
  };
}

type Send = (
  url: string,
  query: string,
  headers?: Record<string, string>,
  variables?: Record<string, unknown>,
) => Promise<TestResponse>;

async function readResponse(response: Response): Promise<TestResponse> {
  const text = await response.text();
  const json = text.startsWith('{') ? text : (/^data: (.+)$/m.exec(text)?.[1] ?? 'null');
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    body: JSON.parse(json) as TestResponse['body'],
  };
}

const post: Send = async (url, query, headers = {}, variables = {}) =>
  readResponse(
    await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    }),
  );

const get: Send = async (url, query, headers = {}) =>
  readResponse(
    await fetch(`${url}/graphql?${new URLSearchParams({ query }).toString()}`, {
      headers: { accept: 'application/json', ...headers },
    }),
  );

const multipart: Send = async (url, query, headers = {}, variables = {}) => {
  const form = new FormData();
  form.set('operations', JSON.stringify({ query, variables: { ...variables, file: null } }));
  form.set('map', JSON.stringify({ 0: ['variables.file'] }));
  form.set('0', new Blob(['x']), 'x.txt');
  return readResponse(await fetch(`${url}/graphql`, { method: 'POST', headers, body: form }));
};

const stream: Send = (url, query, headers = {}, variables = {}) =>
  post(url, query, { accept: 'text/event-stream', ...headers }, variables);

const TRANSPORTS = { post, get, multipart, stream };

let app: TestGateway;
let ann: TestAccount;

/** Creates invalid tokens, keyed by the problem with each. */
async function createInvalidTokens(): Promise<Record<string, string>> {
  const signToken = (claims: object, secret = AUTH_SECRET, seconds = 600) =>
    new SignJWT({ jti: crypto.randomUUID(), ...claims })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
      .sign(new TextEncoder().encode(secret));
  const deletedAccount = await app.createAccount();
  await deletedAccount.graphql.run('mutation { deleteAccount(password: "correct horse") { id } }');
  const loggedOutAccount = await app.createAccount();
  await loggedOutAccount.graphql.run('mutation { logout }');
  return {
    malformed: 'nonsense',
    truncated: ann.token.slice(0, -5),
    expired: await signToken({ sub: String(ann.legacyId) }, AUTH_SECRET, -60),
    revoked: loggedOutAccount.token,
    'of a deleted account': deletedAccount.token,
    'of another issuer': await signToken(
      { sub: String(ann.legacyId), iss: 'https://elsewhere' },
      'another secret!!',
    ),
    'of another scheme': 'Basic YW5uOnBhc3N3b3Jk',
  };
}

beforeEach(async () => {
  app = await startTestApp({ env: { AUTH_SECRET } });
  ann = await app.createAccount();
  return () => app[Symbol.asyncDispose]();
});

test('login works with any bad token in a global header, on every transport', async () => {
  const variables = { email: ann.login, password: 'correct horse' };
  for (const [problem, token] of Object.entries(await createInvalidTokens())) {
    const authorization = token.includes(' ') ? token : `Bearer ${token}`;
    for (const [transport, send] of Object.entries(TRANSPORTS)) {
      if (transport !== 'get') {
        const { status, body } = await send(app.url, LOGIN, { authorization }, variables);
        expect({ problem, transport, status, body }).toEqual({
          problem,
          transport,
          status: 200,
          body: { data: { login: { token: expect.stringContaining('.') } } },
        });
      }
      for (const publicQuery of [
        '{ __typename }',
        '{ webrtc { iceServers { urls } } }',
        '{ __schema { queryType { name } } }',
      ])
        expect(
          (await send(app.url, publicQuery, { authorization })).body,
          `${problem} ${transport} ${publicQuery}`,
        ).toEqual({
          data: expect.any(Object),
        });
    }
  }
  const input = { email: 'new@example.com', password: 'correct horse', firstName: 'New', lastName: 'One' };
  const created = await post(app.url, CREATE_ACCOUNT, { authorization: 'Bearer nonsense' }, { input });
  expect(created.body).toEqual({ data: { createAccount: { token: expect.any(String) } } });
});

test('an operation that requires a login is 401 with a challenge, which has an error only if a token was sent', async () => {
  const circle = await createCircle(ann);
  const queries = [
    ME,
    `{ circle(id: "${circle.id}") { name } }`,
    `{ node(id: "${circle.id}") { id } }`,
    '{ circles(first: 1) { nodes { id } } }',
  ];
  for (const [transport, send] of Object.entries({ post, get, multipart }))
    for (const query of queries)
      for (const [headers, challenge] of [
        [{}, /^Bearer realm="parley"$/],
        [{ authorization: 'Bearer undefined' }, /^Bearer realm="parley"$/],
        [{ authorization: 'Bearer nonsense' }, INVALID],
        [{ 'x-access-token': 'nonsense' }, INVALID],
        [{ authorization: 'Basic YW5uOnBhc3N3b3Jk' }, /^Bearer realm="parley"$/],
        [{ authorization: 'ApiKey YW5uOnBhc3N3b3Jk' }, INVALID],
      ] as const) {
        const response = await send(app.url, query, headers);
        expect({ transport, query, headers, ...response }).toEqual({
          transport,
          query,
          headers,
          status: 401,
          challenge: expect.stringMatching(challenge),
          body: { errors: [expect.objectContaining({ extensions: { code: 'UNAUTHENTICATED' } })] },
        });
      }
});

test('a mutation or subscription that requires a login is 401', async () => {
  const authorization = 'Bearer nonsense';
  const mutation = await post(app.url, 'mutation { logout }', { authorization });
  expect(mutation).toMatchObject({ status: 401, challenge: expect.stringMatching(INVALID) });
  const subscription = await post(app.url, INBOX, {
    authorization,
    accept: 'application/json, text/event-stream',
  });
  expect(subscription).toMatchObject({ status: 401, challenge: expect.stringMatching(INVALID) });
  const events = await stream(app.url, INBOX, { authorization });
  expect(events.body).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
});

test('the error states why the token is not accepted', async () => {
  const messageFor = async (authorization: string) =>
    (await post(app.url, ME, { authorization })).body.errors?.[0]?.message;
  expect(await messageFor('')).toBe('You must be logged in to do this.');
  expect(await messageFor('Bearer nonsense')).toBe('The token is not valid.');
  expect(await messageFor('Bearer undefined')).toBe(
    '`authorization` is `undefined`. Send a token, or leave it out.',
  );
  expect(await messageFor('Basic YW5u')).toBe(
    '`authorization` has the scheme `Basic`. Send `Bearer <token>`.',
  );
  expect(await messageFor('ApiKey YW5u')).toBe(
    '`authorization` must be `Bearer <token>`, or the token alone.',
  );
});

test('an operation with one field that requires a login keeps the data of the other fields', async () => {
  const circle = await createCircle(ann);
  const query = `{ webrtc { iceServers { urls } } circle(id: "${circle.id}") { name } }`;
  const { status, challenge, body } = await post(app.url, query, { authorization: 'Bearer nonsense' });
  expect({ status, challenge }).toEqual({ status: 200, challenge: null });
  expect(body).toMatchObject({
    data: { webrtc: { iceServers: expect.any(Array) }, circle: null },
    errors: [{ path: ['circle'], extensions: { code: 'UNAUTHENTICATED' } }],
  });
});

test('in a document with several operations, only the one that runs determines the status', async () => {
  const query = `mutation LogIn { login(email: "${ann.login}", password: "correct horse") { token } } query Me ${ME}`;
  const send = async (operationName: string) =>
    readResponse(
      await fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer nonsense' },
        body: JSON.stringify({ query, operationName }),
      }),
    );
  expect(await send('LogIn')).toMatchObject({ status: 200, body: { data: { login: {} } } });
  expect((await send('Me')).status).toBe(401);
});

test('a mutation with a field that has run is not 401, as clients would retry it', async () => {
  const query = `mutation ($email: String!, $password: String!) {
    login(email: $email, password: $password) { token }
    logout
  }`;
  const variables = { email: ann.login, password: 'correct horse' };
  for (const send of [post, multipart])
    expect(await send(app.url, query, {}, variables)).toMatchObject({
      status: 200,
      body: { data: null, errors: [{ path: ['logout'], extensions: { code: 'UNAUTHENTICATED' } }] },
    });
});

test('a failed login is not 401, as clients would refresh their token and retry', async () => {
  const response = await post(app.url, LOGIN, {}, { email: ann.login, password: 'wrong' });
  expect(response).toMatchObject({
    status: 200,
    challenge: null,
    body: { data: null, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] },
  });
});

test('a page of another origin may read the challenge', async () => {
  const headers = { origin: 'https://app.example.com', 'content-type': 'application/json' };
  const body = JSON.stringify({ query: ME });
  const response = await fetch(`${app.url}/graphql`, { method: 'POST', headers, body });
  expect(response.headers.get('access-control-expose-headers')).toMatch(/www-authenticate/i);
});

test('uploads and downloads without a valid token are 401 with a challenge', async () => {
  for (const [method, path] of [
    ['POST', '/media/upload/1'],
    ['GET', '/media/1'],
    ['HEAD', '/media/1'],
  ] as const) {
    const anonymousResponse = await fetch(`${app.url}${path}`, { method });
    expect([anonymousResponse.status, anonymousResponse.headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer realm="parley"',
    ]);
    const invalidTokenResponse = await fetch(`${app.url}${path}`, {
      method,
      headers: { authorization: 'nonsense' },
    });
    expect([invalidTokenResponse.status, invalidTokenResponse.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringMatching(INVALID),
    ]);
    // Tokens in URLs of media are not accepted: people share such links.
    const inUrl = await fetch(`${app.url}${path}?access_token=${ann.token}`, { method });
    expect(inUrl.status).toBe(401);
  }
});

test('while tokens cannot be checked, operations are UNAVAILABLE rather than UNAUTHENTICATED', async () => {
  const provider = createServer((_request, response) => response.writeHead(500).end());
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  const { port } = provider.address() as AddressInfo;
  await using gateway = await startTestApp({
    env: {
      AUTH_SECRET,
      AUTH_JWKS_URL: `http://127.0.0.1:${port}/keys`,
      AUTH_ISSUER: 'https://issuer',
      AUTH_AUDIENCE: 'any',
    },
  });
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  expect(await exportJWK(publicKey)).toMatchObject({ kty: 'EC' });
  const token = await new SignJWT({ sub: 'x' })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer('https://issuer')
    .setExpirationTime('1h')
    .sign(privateKey);
  for (const send of [post, get, multipart])
    expect(await send(gateway.url, '{ __typename }', { authorization: `Bearer ${token}` })).toMatchObject({
      status: 503,
      body: { errors: [{ extensions: { code: 'UNAVAILABLE' } }] },
    });
  provider.close();
});

test('a token is accepted over HTTP in every common header and in the URL', async () => {
  const { token } = ann;
  const expected = { status: 200, body: { data: { me: { id: ann.id } } } };
  for (const headers of [
    { authorization: `Bearer ${token}` },
    { authorization: token },
    { AUTHORIZATION: `bearer "${token}"` },
    { 'X-Access-Token': token },
    { 'x-auth-token': `Bearer ${token}` },
    { token },
    { authorization: 'Basic YW5uOnBhc3N3b3Jk', 'x-access-token': token },
  ] as Record<string, string>[])
    for (const send of [post, get, multipart])
      expect(await send(app.url, ME, headers), JSON.stringify(headers)).toMatchObject(expected);
  for (const name of ['access_token', 'token', 'authToken', 'authorization']) {
    const search = new URLSearchParams({ query: ME, [name]: token }).toString();
    const response = await fetch(`${app.url}/graphql?${search}`, { headers: { accept: 'application/json' } });
    expect(await readResponse(response), name).toMatchObject(expected);
  }
});

test('two different Authorization headers are rejected', async () => {
  const bob = await app.createAccount();
  const clientRequest = request(`${app.url}/graphql?query=${encodeURIComponent(ME)}`, {
    headers: [
      'host',
      new URL(app.url).host,
      'accept',
      'application/json',
      'authorization',
      `Bearer ${ann.token}`,
      'authorization',
      `Bearer ${bob.token}`,
    ],
  }).end();
  const [response] = (await once(clientRequest, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(401);
  response.resume();
});

test('an EventSource, which cannot set headers, authenticates by the token in its URL', async () => {
  const search = new URLSearchParams({ query: INBOX, access_token: ann.token }).toString();
  const response = await fetch(`${app.url}/graphql?${search}`, { headers: { accept: 'text/event-stream' } });
  const reader = response.body?.getReader();
  let text = '';
  while (!text.includes('StreamLive')) text += Buffer.from((await reader?.read())?.value ?? []).toString();
  await reader?.cancel();
});

/** Opens a WebSocket, and returns the id of its account, `anonymous`, or its close code. */
async function identifyConnection(
  init: unknown,
  {
    search = '',
    protocols = ['graphql-transport-ws'],
    headers = {},
  }: { search?: string; protocols?: string[]; headers?: Record<string, string> } = {},
): Promise<unknown> {
  const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql${search}`, protocols, { headers });
  const closeEvent = once(socket, 'close');
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', ...(init !== undefined && { payload: init }) }));
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as { type: string; payload: { data?: { me: { id: string } } } };
    if (frame.type === 'connection_ack')
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: ME } }));
    if (frame.type === 'next') socket.close(4000, frame.payload.data?.me.id ?? 'anonymous');
  });
  const [code, reason] = (await closeEvent) as [number, Buffer];
  return code === 4000 ? reason.toString() : code;
}

test.each([
  (token: string) => ({ authorization: `Bearer ${token}` }),
  (token: string) => ({ Authorization: token }),
  (token: string) => ({ token }),
  (token: string) => ({ authToken: token }),
  (token: string) => ({ accessToken: token }),
  (token: string) => ({ headers: { Authorization: `Bearer ${token}` } }),
  (token: string) => ({ headers: { 'x-access-token': token } }),
  (token: string) => ({ 'X-Auth-Token': token }),
  (token: string) => ({ context: { headers: { authorization: `JWT ${token}` } } }),
  (token: string) => ({ whatever: token }),
])('connection_init authenticates a connection, and a bad token closes it with 4403', async (init) => {
  expect(await identifyConnection(init(ann.token))).toBe(ann.id);
  expect(await identifyConnection(init(`${ann.token.slice(0, -3)}xyz`))).toBe(4403);
});

test('the handshake token authenticates a connection, and a bad one closes it with 4403', async () => {
  const invalidToken = `${ann.token.slice(0, -3)}xyz`;
  for (const init of [
    undefined,
    {},
    { token: null },
    { authorization: '' },
    { authorization: 'Bearer null' },
  ])
    for (const [token, expected] of [
      [ann.token, ann.id],
      [invalidToken, 4403],
    ] as const) {
      expect(await identifyConnection(init, { headers: { authorization: `Bearer ${token}` } })).toBe(
        expected,
      );
      expect(await identifyConnection(init, { headers: { 'X-Access-Token': token } })).toBe(expected);
      expect(await identifyConnection(init, { search: `?access_token=${token}` })).toBe(expected);
      expect(await identifyConnection(init, { search: `?token=${token}` })).toBe(expected);
      expect(await identifyConnection(init, { protocols: ['graphql-transport-ws', token] })).toBe(expected);
      expect(await identifyConnection(init, { protocols: ['graphql-transport-ws', `bearer.${token}`] })).toBe(
        expected,
      );
    }
});

test('the token in connection_init has precedence over the handshake token', async () => {
  const bob = await app.createAccount();
  const headers = { authorization: `Bearer ${bob.token}` };
  expect(await identifyConnection({ token: ann.token }, { headers })).toBe(ann.id);
  expect(await identifyConnection({ token: 'nonsense' }, { headers })).toBe(4403);
});

test('a connection without a token is anonymous, and its errors mention a blank one', async () => {
  for (const [init, message] of [
    [{}, 'You must be logged in to do this.'],
    [{ authorization: 'Bearer undefined' }, '`authorization` is `undefined`. Send a token, or leave it out.'],
  ] as const) {
    await using socket = await openGraphqlSocket(app.url, init);
    socket.send({ id: '1', type: 'subscribe', payload: { query: INBOX } });
    expect(await socket.next()).toMatchObject({ payload: { errors: [{ message }] } });
    socket.send({
      id: '2',
      type: 'subscribe',
      payload: { query: LOGIN, variables: { email: ann.login, password: 'correct horse' } },
    });
    expect(await socket.next(({ id }) => id === '2')).toMatchObject({ payload: { data: { login: {} } } });
  }
});

test('proxy credentials, which browsers send with every request, neither authenticate nor close a connection', async () => {
  const headers = { authorization: 'Basic YW5uOnBhc3N3b3Jk' };
  expect(await identifyConnection({}, { headers })).toBe('anonymous');
  expect(await identifyConnection({ token: ann.token }, { headers })).toBe(ann.id);
  expect(await identifyConnection({}, { headers, search: `?access_token=${ann.token}` })).toBe(ann.id);
  expect(await identifyConnection(headers)).toBe(4403);
});

test('an operation with its own token runs with it, also on a connection of another account', async () => {
  const bob = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  const runOperation = async (id: string, extensions: object) => {
    socket.send({ id, type: 'subscribe', payload: { query: ME, extensions } });
    return socket.next((frame) => frame['id'] === id);
  };
  expect(await runOperation('1', {})).toMatchObject({ payload: { data: { me: { id: ann.id } } } });
  expect(await runOperation('2', { headers: { Authorization: `Bearer ${bob.token}` } })).toMatchObject({
    payload: { data: { me: { id: bob.id } } },
  });
  expect(await runOperation('3', { headers: { Authorization: 'Bearer nonsense' } })).toMatchObject({
    type: 'error',
  });
});

test('unrelated values in `extensions` are not tokens of the operation', async () => {
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  const extensions = { recaptcha: { token: 'nonsense' }, trace: { jwt: 'nonsense' }, token: 'nonsense' };
  socket.send({ id: '1', type: 'subscribe', payload: { query: ME, extensions } });
  expect(await socket.next()).toMatchObject({ type: 'next', payload: { data: { me: { id: ann.id } } } });
});
