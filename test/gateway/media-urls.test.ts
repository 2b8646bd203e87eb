import { expect, test } from 'vitest';
import type { TestGateway } from '../../src/testing/index.ts';
import { createCircle, createConversation, createGraphqlClient } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { PNG, readMediaUrl, sendFile, uploadFile } from '../harness/media.ts';
import { createOperator } from '../harness/operator.ts';

const PASSWORD = 'correct horse';

/** A file of Ann in a conversation with Bob and Carl, and the URL that Bob has of it. */
async function createFile(app: TestGateway) {
  const [ann, bob, carl] = [await app.createAccount(), await app.createAccount(), await app.createAccount()];
  const circle = await createCircle(ann, bob, carl);
  const conversation = await createConversation(ann, circle, bob, carl);
  const file = await sendFile(app, ann, conversation, PNG, 'photo.png');
  return {
    ann,
    bob,
    carl,
    circle,
    conversation,
    ...file,
    bobsUrl: await readMediaUrl(app, bob, file.mediaId),
  };
}

async function get(url: string, headers: Record<string, string> = {}) {
  const response = await fetch(url, { headers });
  return {
    status: response.status,
    headers: response.headers,
    body: Buffer.from(await response.arrayBuffer()),
  };
}

test('a file can be read by its URL alone, for as long as its holder keeps the session', async () => {
  await using app = await startTestApp();
  const { ann, bob, mediaId, bobsUrl } = await createFile(app);
  const { status, headers, body } = await get(bobsUrl);
  expect([status, body]).toEqual([200, PNG]);
  expect(Object.fromEntries(headers)).toMatchObject({
    'content-type': 'image/png',
    'content-disposition': 'inline; filename=photo.png',
    'cache-control': 'private, no-cache',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'cross-origin',
    'content-security-policy': expect.stringMatching(/^sandbox; default-src 'none'/) as string,
  });
  const etag = headers.get('etag') ?? '';
  expect((await get(bobsUrl, { 'if-none-match': etag })).status).toBe(304);
  const part = await get(bobsUrl, { range: 'bytes=1-3', 'if-range': etag });
  expect([part.status, part.body.toString()]).toEqual([206, 'PNG']);
  expect((await get(`${bobsUrl}&download`)).headers.get('content-disposition')).toBe(
    'attachment; filename=photo.png',
  );
  expect(await readMediaUrl(app, bob, mediaId)).toBe(bobsUrl);
  expect(await readMediaUrl(app, ann, mediaId)).not.toBe(bobsUrl);
});

test('a URL is refused for another file, with another signature, and for what is not uploaded', async () => {
  await using app = await startTestApp();
  const { ann, conversation, mediaId, bobsUrl } = await createFile(app);
  const other = await sendFile(app, ann, conversation, 'other');
  const ofOtherFile = bobsUrl.replace(`/media/${mediaId.slice(6)}?`, `/media/${other.mediaId.slice(6)}?`);
  for (const url of [
    ofOtherFile,
    bobsUrl.replace('signature=', 'signature=x'),
    `${bobsUrl.split('=')[0]}=`,
  ]) {
    const { status, headers, body } = await get(url);
    expect([status, JSON.parse(body.toString())], url).toEqual([
      403,
      {
        success: false,
        code: 'FORBIDDEN',
        message: 'The URL is not valid, or no longer. Query `Media.url` again.',
      },
    ]);
    expect(headers.get('cache-control')).toBe('no-store');
  }
  expect((await get(bobsUrl.split('?')[0] ?? '')).status).toBe(401);
});

test('a token in the header takes precedence, and a stale one does not harm the URL', async () => {
  await using app = await startTestApp();
  const { ann, bobsUrl } = await createFile(app);
  const stranger = await app.createAccount();
  const getAs = async (token: string, url = bobsUrl) =>
    (await get(url, { authorization: `Bearer ${token}` })).status;
  expect(await getAs('nonsense')).toBe(200);
  expect(await getAs(ann.token, bobsUrl.replace('signature=', 'signature=x'))).toBe(200);
  expect(await getAs(stranger.token)).toBe(404);
});

type File = Awaited<ReturnType<typeof createFile>>;

test.each<[string, (file: File, app: TestGateway) => Promise<unknown>]>([
  [
    'Bob is kicked from the conversation',
    ({ ann, bob, conversation: { id } }) =>
      ann.graphql.run(
        'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
        { id, email: bob.login },
      ),
  ],
  [
    'Bob is kicked from the circle',
    ({ ann, bob, circle: { id } }) =>
      ann.graphql.run(
        'mutation ($id: ID!, $email: String!) { kickFromCircle(circleId: $id, email: $email) { id } }',
        { id, email: bob.login },
      ),
  ],
  [
    'Bob leaves',
    ({ bob, circle: { id } }) =>
      bob.graphql.run('mutation ($id: ID!) { leaveCircle(circleId: $id) { id } }', { id }),
  ],
  [
    'the message is deleted',
    ({ ann, messageId }) =>
      ann.graphql.run('mutation ($id: ID!) { deleteMessage(messageId: $id) { id } }', { id: messageId }),
  ],
  ['Bob logs out', ({ bob }) => bob.graphql.run('mutation { logout }')],
  ['Bob logs out everywhere', ({ bob }) => bob.graphql.run('mutation { logoutEverywhere }')],
  [
    'Bob deletes the account',
    ({ bob }) =>
      bob.graphql.run('mutation ($password: String!) { deleteAccount(password: $password) { id } }', {
        password: PASSWORD,
      }),
  ],
  [
    'operators block Bob',
    ({ bob: { id } }, { url }) =>
      createOperator(url).run('mutation ($id: ID!) { blockAccount(accountId: $id, reason: "spam") { id } }', {
        id,
      }),
  ],
  [
    'operators end the sessions of Bob',
    ({ bob: { id } }, { url }) =>
      createOperator(url).run('mutation ($id: ID!) { revokeSessions(accountId: $id) { id } }', { id }),
  ],
])('a URL is refused as soon as %s', async (reason, end) => {
  await using app = await startTestApp();
  const file = await createFile(app);
  const carlsUrl = await readMediaUrl(app, file.carl, file.mediaId);
  expect((await get(file.bobsUrl)).status).toBe(200);
  await end(file, app);
  expect((await get(file.bobsUrl)).status).toBe(403);
  expect((await get(file.bobsUrl, { 'if-none-match': '*' })).status).toBe(403);
  expect((await get(carlsUrl)).status).toBe(reason === 'the message is deleted' ? 403 : 200);
});

test('the logout of one session keeps the URLs of another', async () => {
  await using app = await startTestApp();
  const { bob, mediaId, bobsUrl } = await createFile(app);
  const { login } = await app.graphql.run<{ login: { token: string } }>(
    'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }',
    { email: bob.login, password: PASSWORD },
  );
  await using second = createGraphqlClient(app.url, login.token);
  const secondUrl = await readMediaUrl(app, { graphql: second }, mediaId);
  await second.run('mutation { logout }');
  expect([(await get(bobsUrl)).status, (await get(secondUrl)).status]).toEqual([200, 403]);
});

test('each subscriber receives a URL of its own with the event of an upload', async () => {
  await using app = await startTestApp();
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const operation =
    'subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename ... on MediaUploaded { media { url } } } }';
  const subscribers = [ann, bob].map(({ graphql }) => graphql.subscribe(operation, { id: conversation.id }));
  for (const subscriber of subscribers) await subscriber.nextOf('StreamLive');
  await sendFile(app, ann, conversation, 'text');
  const urls = await Promise.all(
    subscribers.map(async (subscriber) => {
      const { media } = (await subscriber.nextOf('MediaUploaded')) as unknown as { media: { url: string } };
      return app.url + media.url;
    }),
  );
  expect(new Set(urls).size).toBe(2);
  for (const url of urls) expect((await get(url)).status).toBe(200);
});

test('a replaced file is not served from a cache of the former one', async () => {
  await using app = await startTestApp();
  const { ann, mediaId, bobsUrl } = await createFile(app);
  const etag = (await get(bobsUrl)).headers.get('etag') ?? '';
  await uploadFile(app, ann, mediaId, 'replaced', 'photo.png');
  const { status, body } = await get(bobsUrl, { 'if-none-match': etag });
  expect([status, body.toString()]).toEqual([200, 'replaced']);
});

test('uploaded pages and images with scripts are harmless', async () => {
  await using app = await startTestApp();
  const { ann, conversation } = await createAnnAndBob(app);
  for (const [name, content, type, disposition] of [
    ['page.html', '<!doctype html><script>alert(1)</script>', 'text/plain; charset=utf-8', 'inline'],
    ['image.svg', '<svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml', 'attachment'],
  ] as const) {
    const { mediaId } = await sendFile(app, ann, conversation, content, name);
    const { headers } = await get(await readMediaUrl(app, ann, mediaId));
    expect(headers.get('content-type')).toBe(type);
    expect(headers.get('content-disposition')).toBe(`${disposition}; filename=${name}`);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toMatch(/^sandbox; default-src 'none'/);
  }
});
