import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';
const SECRET = 'a secret of the tests';

/** Signs a token with chosen claims. */
function tokenOf(claims: object, header: object = { alg: 'HS256', typ: 'JWT' }, secret = SECRET): string {
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
    const who = id === conversation.id ? stranger : ann;
    const code = id === conversation.id || id === 'Conversation:999' ? 'NOT_FOUND' : 'INVALID_INPUT';
    expect(
      await who.graphql.expectError('query ($id: ID!) { conversation(id: $id) { id } }', { id }),
      id,
    ).toBe(code);
    expect(await who.graphql.expectError(SEND, { id, text: 'x' }), id).toBe(code);
  }
  expect(await stranger.graphql.run('query ($id: ID!) { node(id: $id) { id } }', { id: circle.id })).toEqual({
    node: null,
  });
});

test('texts that cannot be stored are refused and store nothing', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation, circle } = await createAnnAndBob(app);
  await using events = await bob.subscribeToConversation(conversation.id);
  const { id } = conversation;
  for (const text of ['x'.repeat(8193), 'a\0b', '\ud800', 'a\udc00b']) {
    expect(['INVALID_INPUT', 'LIMIT_EXCEEDED']).toContain(await ann.graphql.expectError(SEND, { id, text }));
    const legacy = await ann.connectLegacy();
    expect(
      await legacy.expectError('message', { conversation_id: conversation.legacyId, text_message: text }),
    ).toBe('Message invalide');
  }
  for (const name of ['', 'x'.repeat(121), 'a\0b', '\ud800']) {
    const refused = await ann.graphql.expectError(
      'mutation ($id: ID!, $name: String!) { updateCircle(circleId: $id, name: $name) { id } }',
      {
        id: circle.id,
        name,
      },
    );
    expect(['INVALID_INPUT', 'LIMIT_EXCEEDED'], JSON.stringify(name)).toContain(refused);
  }
  await sendMessage(ann, conversation, '😀'.repeat(8192));
  expect(await events.next()).toMatchObject({ message: { text: '😀'.repeat(8192) } });
  expect(events.pending()).toEqual([]);
});

test('foreign, invalid and unsigned tokens are refused on every transport', async () => {
  await using app = await startTestApp({ env: { AUTH_SECRET: SECRET } });
  const { ann, conversation } = await createAnnAndBob(app);
  const now = Math.floor(Date.now() / 1000);
  const sub = String(ann.legacyId);
  const bad = {
    expired: tokenOf({ sub, exp: now - 10 }),
    'without expiry': tokenOf({ sub }),
    foreign: tokenOf({ sub, exp: now + 600 }, { alg: 'HS256' }, 'another secret'),
    none: `${tokenOf({ sub, exp: now + 600 }, { alg: 'none' })
      .split('.')
      .slice(0, 2)
      .join('.')}.`,
    'of nobody': tokenOf({ sub: '999', exp: now + 600 }),
    'of a strange subject': tokenOf({ sub: 'x', exp: now + 600 }),
    nonsense: 'nonsense',
  };
  for (const [what, token] of Object.entries(bad)) {
    await using client = createGraphqlClient(app.url, token);
    const { status, errors } = await client.send('{ me { __typename } }');
    expect({ what, status, code: errors?.[0]?.extensions?.['code'] }).toEqual({
      what,
      status: 401,
      code: 'UNAUTHENTICATED',
    });
    const legacy = await app.connectLegacy();
    expect(await legacy.expectError('authenticate', { token }), what).toBe('User not found');
    legacy.close();
    const upload = await fetch(`${app.url}/media/upload/1`, {
      method: 'POST',
      headers: { authorization: token },
    });
    expect({ what, status: upload.status }).toEqual({ what, status: 401 });
  }
  // A token of the original server: a numeric subject, no `jti`.
  const original = tokenOf({ sub: ann.legacyId, iat: now, exp: now + 600 });
  await using client = createGraphqlClient(app.url, original);
  expect(await client.run('{ me { ... on User { id } } }')).toEqual({ me: { id: ann.id } });
  const legacy = await app.connectLegacy();
  expect(await legacy.push('authenticate', { token: original })).toBe('User authenticated');
  expect(await legacy.push('join_conversation', { conversation_id: conversation.legacyId })).toContain(
    'rejoins',
  );
  await client.run('mutation { logout }');
  expect(await legacy.expect('error')).toBe('User not found');
  await legacy.waitForDisconnect();
  expect(await client.expectError('{ me { __typename } }')).toBe('UNAUTHENTICATED');
  expect(await ann.graphql.run('{ me { ... on User { id } } }')).toEqual({ me: { id: ann.id } });
});

test.each([
  ['malformed JSON', '{"query": '],
  ['no query', '{}'],
  ['a query that is no text', '{"query": 7}'],
  ['variables that are no object', '{"query": "{ __typename }", "variables": "x"}'],
  ['syntax that is none', '{"query": "{ me"}'],
  ['an unknown field', '{"query": "{ nothing }"}'],
  [
    'a variable of the wrong type',
    '{"query": "query ($id: ID!) { circle(id: $id) { id } }", "variables": {"id": {}}}',
  ],
  ['a missing variable', '{"query": "query ($id: ID!) { circle(id: $id) { id } }"}'],
])('%s is INVALID_INPUT', async (_what, body) => {
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
  for (const query of [deep, wide, long, deepest, '{ circles(first: 101) { nodes { id } } }']) {
    expect(await ann.graphql.expectError(query), query.slice(0, 60)).toBe('LIMIT_EXCEEDED');
  }
});

test('uploads to foreign or unknown media, without multipart or incomplete, store nothing', async () => {
  await using app = await startTestApp({ env: { MAX_UPLOAD_BYTES: '1000' } });
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const stranger = await app.createAccount();
  const { sendMessage: sent } = await sendMessage(ann, conversation, 'file', ['a.txt']);
  const media = sent.media[0]?.legacyId;
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
  const form = (content: string, part = 'file') => {
    const data = new FormData();
    data.set('media_id', '1');
    data.set(part, new File([content], 'a.txt'));
    return data;
  };
  expect(await upload(bob.token, media, form('x'))).toMatchObject({
    status: 403,
    success: false,
    message: 'Vous ne pouvez pas upload ce media',
  });
  expect(await upload(stranger.token, media, form('x'))).toMatchObject({
    status: 404,
    message: 'Media introuvable',
  });
  expect(await upload(ann.token, 999, form('x'))).toMatchObject({
    status: 404,
    message: 'Media introuvable',
  });
  expect(await upload(ann.token, 'x', form('x'))).toMatchObject({ status: 404 });
  expect(await upload('', media, form('x'))).toMatchObject({ status: 401 });
  expect(await upload(ann.token, media, form('x', 'other'))).toMatchObject({
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
  expect(await upload(ann.token, media, form('x'.repeat(2000)))).toMatchObject({
    status: 400,
    success: false,
  });
  expect(
    (await fetch(`${app.url}/media/${String(media)}`, { headers: { authorization: ann.token } })).status,
  ).toBe(404);

  const nameless = '--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhi\r\n--x--\r\n';
  const asMultipart = { 'content-type': 'multipart/form-data; boundary=x' };
  expect(await upload(ann.token, media, nameless, asMultipart)).toEqual({ status: 200, success: true });
  expect(await upload(ann.token, media, form('hello'))).toEqual({ status: 200, success: true });
  const file = await fetch(`${app.url}/media/${String(media)}`, { headers: { authorization: bob.token } });
  expect(await file.text()).toBe('hello');
  expect(
    (await fetch(`${app.url}/media/${String(media)}`, { headers: { authorization: stranger.token } })).status,
  ).toBe(404);
});
