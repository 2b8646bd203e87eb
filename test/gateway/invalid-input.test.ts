import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';

const SEND_MESSAGE =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';
const SECRET = 'a secret of the tests';

/** Signs a token with chosen claims. */
function signToken(claims: object, header: object = { alg: 'HS256', typ: 'JWT' }, secret = SECRET): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${encode(header)}.${encode(claims)}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

test('unknown ids and ids of other accounts are NOT_FOUND; malformed ids and ids of other types are INVALID_INPUT', async () => {
  await using app = await startTestApp();
  const { ann, conversation, circle } = await createAnnAndBob(app);
  const stranger = await app.createAccount();
  for (const id of [
    'Conversation:999',
    'Conversation:x',
    'Conversation:0',
    'Conversation:1.5',
    'Circle:1',
    '1',
    '',
    'Conversation:99999999999',
    conversation.id,
  ]) {
    const account = id === conversation.id ? stranger : ann;
    const code = id === conversation.id || id === 'Conversation:999' ? 'NOT_FOUND' : 'INVALID_INPUT';
    expect(
      await account.graphql.expectError('query ($id: ID!) { conversation(id: $id) { id } }', { id }),
      id,
    ).toBe(code);
    expect(await account.graphql.expectError(SEND_MESSAGE, { id, text: 'x' }), id).toBe(code);
  }
  expect(await stranger.graphql.run('query ($id: ID!) { node(id: $id) { id } }', { id: circle.id })).toEqual({
    node: null,
  });
});

test('texts that cannot be stored are rejected and store nothing', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation, circle } = await createAnnAndBob(app);
  await using events = await bob.subscribeToConversation(conversation.id);
  const { id } = conversation;
  for (const text of ['x'.repeat(8193), 'a\0b', '\ud800', 'a\udc00b']) {
    expect(['INVALID_INPUT', 'LIMIT_EXCEEDED']).toContain(
      await ann.graphql.expectError(SEND_MESSAGE, { id, text }),
    );
    const legacyClient = await ann.connectLegacy();
    expect(
      await legacyClient.expectError('message', {
        conversation_id: conversation.legacyId,
        text_message: text,
      }),
    ).toBe('Message invalide');
  }
  for (const name of ['', 'x'.repeat(121), 'a\0b', '\ud800']) {
    const code = await ann.graphql.expectError(
      'mutation ($id: ID!, $name: String!) { updateCircle(circleId: $id, name: $name) { id } }',
      {
        id: circle.id,
        name,
      },
    );
    expect(['INVALID_INPUT', 'LIMIT_EXCEEDED'], JSON.stringify(name)).toContain(code);
  }
  await sendMessage(ann, conversation, '😀'.repeat(8192));
  expect(await events.next()).toMatchObject({ message: { text: '😀'.repeat(8192) } });
  expect(events.pending()).toEqual([]);
});

test('foreign, invalid and unsigned tokens are rejected on every transport', async () => {
  await using app = await startTestApp({ env: { AUTH_SECRET: SECRET } });
  const { ann, conversation } = await createAnnAndBob(app);
  const now = Math.floor(Date.now() / 1000);
  const sub = String(ann.legacyId);
  const invalidTokens = {
    expired: signToken({ sub, exp: now - 10 }),
    'without expiry': signToken({ sub }),
    foreign: signToken({ sub, exp: now + 600 }, { alg: 'HS256' }, 'another secret'),
    none: `${signToken({ sub, exp: now + 600 }, { alg: 'none' })
      .split('.')
      .slice(0, 2)
      .join('.')}.`,
    'of an unknown account': signToken({ sub: '999', exp: now + 600 }),
    'with a malformed subject': signToken({ sub: 'x', exp: now + 600 }),
    nonsense: 'nonsense',
  };
  for (const [problem, token] of Object.entries(invalidTokens)) {
    await using client = createGraphqlClient(app.url, token);
    const { status, errors } = await client.send('{ me { __typename } }');
    expect({ problem, status, code: errors?.[0]?.extensions?.['code'] }).toEqual({
      problem,
      status: 401,
      code: 'UNAUTHENTICATED',
    });
    const legacyClient = await app.connectLegacy();
    expect(await legacyClient.expectError('authenticate', { token }), problem).toBe('User not found');
    legacyClient.close();
    const upload = await fetch(`${app.url}/media/upload/1`, {
      method: 'POST',
      headers: { authorization: token },
    });
    expect({ problem, status: upload.status }).toEqual({ problem, status: 401 });
  }
  // Tokens of the original server have a numeric subject and no `jti`.
  const originalToken = signToken({ sub: ann.legacyId, iat: now, exp: now + 600 });
  await using client = createGraphqlClient(app.url, originalToken);
  expect(await client.run('{ me { ... on User { id } } }')).toEqual({ me: { id: ann.id } });
  const legacyClient = await app.connectLegacy();
  expect(await legacyClient.push('authenticate', { token: originalToken })).toBe('User authenticated');
  expect(await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId })).toContain(
    'rejoins',
  );
  await client.run('mutation { logout }');
  expect(await legacyClient.expect('error')).toBe('User not found');
  await legacyClient.waitForDisconnect();
  expect(await client.expectError('{ me { __typename } }')).toBe('UNAUTHENTICATED');
  expect(await ann.graphql.run('{ me { ... on User { id } } }')).toEqual({ me: { id: ann.id } });
});

test.each([
  ['malformed JSON', '{"query": '],
  ['no query', '{}'],
  ['a query that is not a string', '{"query": 7}'],
  ['variables that are not an object', '{"query": "{ __typename }", "variables": "x"}'],
  ['invalid syntax', '{"query": "{ me"}'],
  ['an unknown field', '{"query": "{ nothing }"}'],
  [
    'a variable of the wrong type',
    '{"query": "query ($id: ID!) { circle(id: $id) { id } }", "variables": {"id": {}}}',
  ],
  ['a missing variable', '{"query": "query ($id: ID!) { circle(id: $id) { id } }"}'],
])('%s is INVALID_INPUT', async (_label, body) => {
  await using app = await startTestApp();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body,
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'INVALID_INPUT' } }] });
});

test('a document that is too deeply nested, too complex or too long is LIMIT_EXCEEDED', async () => {
  await using app = await startTestApp();
  const { ann } = await createAnnAndBob(app);
  const deep = `{ circles { nodes { ${'conversations { nodes { circle { '.repeat(12)} id ${'} } }'.repeat(12)} } } }`;
  const wide =
    '{ circles(first: 100) { nodes { conversations(first: 100) { nodes { messages(last: 100) { nodes { id } } } } } } }';
  const long = `{ ${'__typename '.repeat(20_000)} }`;
  const deepest = `${'{a'.repeat(201)}${'}'.repeat(201)}`;
  const longName = `query ${'q'.repeat(129)} { __typename }`;
  for (const query of [deep, wide, long, deepest, longName, '{ circles(first: 101) { nodes { id } } }']) {
    expect(await ann.graphql.expectError(query), query.slice(0, 60)).toBe('LIMIT_EXCEEDED');
  }
});

test('uploads to foreign or unknown media, without multipart or incomplete, store nothing', async () => {
  await using app = await startTestApp({ env: { MAX_UPLOAD_BYTES: '1000' } });
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const stranger = await app.createAccount();
  const { sendMessage: result } = await sendMessage(ann, conversation, 'file', ['a.txt']);
  const media = result.media[0]?.legacyId;
  const upload = async (token: string, id: unknown, body: BodyInit, headers: Record<string, string> = {}) => {
    const response = await fetch(`${app.url}/media/upload/${String(id)}`, {
      method: 'POST',
      headers: { authorization: token, ...headers },
      body,
    });
    return {
      status: response.status,
      ...((await response.json()) as { success: boolean; message?: string }),
    };
  };
  const createForm = (content: string, part = 'file') => {
    const data = new FormData();
    data.set('media_id', '1');
    data.set(part, new File([content], 'a.txt'));
    return data;
  };
  expect(await upload(bob.token, media, createForm('x'))).toMatchObject({
    status: 403,
    success: false,
    message: 'Vous ne pouvez pas upload ce media',
  });
  expect(await upload(stranger.token, media, createForm('x'))).toMatchObject({
    status: 404,
    message: 'Media introuvable',
  });
  expect(await upload(ann.token, 999, createForm('x'))).toMatchObject({
    status: 404,
    message: 'Media introuvable',
  });
  expect(await upload(ann.token, 'x', createForm('x'))).toMatchObject({ status: 404 });
  expect(await upload('', media, createForm('x'))).toMatchObject({ status: 401 });
  expect(await upload(ann.token, media, createForm('x', 'other'))).toMatchObject({
    status: 404,
    message: 'Le media est introuvable dans la requête',
  });
  expect(await upload(ann.token, media, 'plain text')).toMatchObject({ status: 400 });
  expect(
    await upload(ann.token, media, '--x\r\n', { 'content-type': 'multipart/form-data; boundary=x' }),
  ).toMatchObject({ status: 400 });
  expect(await upload(ann.token, media, '', { 'content-type': 'multipart/form-data' })).toMatchObject({
    status: 400,
  });
  expect(await upload(ann.token, media, createForm('x'.repeat(2000)))).toMatchObject({
    status: 400,
    success: false,
  });
  expect(
    (await fetch(`${app.url}/media/${String(media)}`, { headers: { authorization: ann.token } })).status,
  ).toBe(404);

  const nameless = '--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhi\r\n--x--\r\n';
  const multipartHeaders = { 'content-type': 'multipart/form-data; boundary=x' };
  expect(await upload(ann.token, media, nameless, multipartHeaders)).toEqual({ status: 200, success: true });
  expect(await upload(ann.token, media, createForm('hello'))).toEqual({ status: 200, success: true });
  const file = await fetch(`${app.url}/media/${String(media)}`, { headers: { authorization: bob.token } });
  expect(await file.text()).toBe('hello');
  expect(
    (await fetch(`${app.url}/media/${String(media)}`, { headers: { authorization: stranger.token } })).status,
  ).toBe(404);
});
