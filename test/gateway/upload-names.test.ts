import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { readFilename } from '../../src/gateway/http/part-filename.ts';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';

// Each body is exactly what the named client sends.

interface Part {
  readonly disposition: string | Buffer;
  readonly headers?: string;
  readonly content?: string | Buffer;
}

const createBody = (...parts: readonly Part[]): Buffer<ArrayBuffer> =>
  Buffer.concat([
    ...parts.flatMap(({ disposition, headers = '', content = 'hello' }) => [
      Buffer.from('--b\r\nContent-Disposition: '),
      Buffer.from(disposition),
      Buffer.from(`\r\n${headers}\r\n`),
      Buffer.from(content),
      Buffer.from('\r\n'),
    ]),
    Buffer.from('--b--\r\n'),
  ]);

interface Uploader {
  /** Uploads over the legacy route and returns the status and the stored media. */
  postLegacy(...parts: readonly Part[]): Promise<{ status: number; body: object; media: object }>;
  /** Uploads with GraphQL and returns the stored media. */
  postGraphql(...parts: readonly Part[]): Promise<{ body: object; media: object }>;
}

async function openUploader(app: TestGateway): Promise<Uploader> {
  const { ann, conversation } = await createAnnAndBob(app);
  const announceFile = async (): Promise<{ id: string; legacyId: number }> => {
    const { sendMessage } = await ann.graphql.run<{
      sendMessage: { media: { id: string; legacyId: number }[] };
    }>('mutation ($id: ID!) { sendMessage(conversationId: $id, files: ["f"]) { media { id legacyId } } }', {
      id: conversation.id,
    });
    const [media] = sendMessage.media;
    if (media === undefined) throw new Error('The message has no media.');
    return media;
  };
  const readMedia = async (id: string): Promise<object> => {
    const { node } = await ann.graphql.run<{ node: object }>(
      'query ($id: ID!) { node(id: $id) { ... on Media { filename extension size contentType } } }',
      { id },
    );
    return node;
  };
  const send = (path: string, content: Buffer<ArrayBuffer>): Promise<Response> =>
    fetch(`${app.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ann.token}`, 'content-type': 'multipart/form-data; boundary=b' },
      body: content,
    });
  return {
    async postLegacy(...parts) {
      const { id, legacyId } = await announceFile();
      const response = await send(`/media/upload/${legacyId}`, createBody(...parts));
      return { status: response.status, body: (await response.json()) as object, media: await readMedia(id) };
    },
    async postGraphql(...parts) {
      const { id } = await announceFile();
      const query = `mutation ($file: Upload!) { uploadMedia(mediaId: "${id}", file: $file) { id } }`;
      const response = await send(
        '/graphql',
        createBody(
          {
            disposition: 'form-data; name="operations"',
            content: JSON.stringify({ query, variables: { file: null } }),
          },
          { disposition: 'form-data; name="map"', content: '{"0":["variables.file"]}' },
          ...parts,
        ),
      );
      return { body: (await response.json()) as object, media: await readMedia(id) };
    },
  };
}

const createDisposition = (parameters: string): string => `form-data; name="NAME"${parameters}`;

const NAMES: readonly (readonly [
  client: string,
  disposition: string | Buffer,
  filename: string,
  extension: string,
])[] = [
  ['a browser, curl, URLSession', createDisposition('; filename="é 😀.png"'), 'é 😀', '.png'],
  ['macOS, decomposed', createDisposition('; filename="e\u0301.png"'), 'é', '.png'],
  ['a browser, with quotes and lines', createDisposition('; filename="a%22b%0D%0Ac.png"'), 'a"bc', '.png'],
  ['OkHttp, with a percent sign', createDisposition('; filename="100%.png"'), '100%', '.png'],
  [
    'a browser, with a percent escape in the name',
    createDisposition('; filename="a%20b.png"'),
    'a%20b',
    '.png',
  ],
  ['aiohttp', createDisposition('; filename="caf%C3%A9%20x.png"'), 'café x', '.png'],
  ['curl before 7.81', createDisposition('; filename="a\\"b\\\\c.png"'), 'c', '.png'],
  ['curl before 7.81, with quotes', createDisposition('; filename="a\\"b.png"'), 'a"b', '.png'],
  ['an old browser on Windows', createDisposition('; filename="C:\\fakepath\\x.png"'), 'x', '.png'],
  ['a path that escapes its folder', createDisposition('; filename="../../x.png"'), 'x', '.png'],
  [
    'Apache HttpClient, latin1',
    Buffer.from(createDisposition('; filename="caf\xe9.png"'), 'latin1'),
    'café',
    '.png',
  ],
  [
    'Apache HttpClient, latin1, unquoted',
    Buffer.from(createDisposition('; filename=caf\xe9 1.png'), 'latin1'),
    'café 1',
    '.png',
  ],
  ['requests', createDisposition("; filename*=utf-8''caf%C3%A9.png"), 'café', '.png'],
  [
    'Alamofire, both forms',
    createDisposition('; filename="cafe.png"; filename*=UTF-8\'\'caf%C3%A9.png'),
    'café',
    '.png',
  ],
  [
    'both forms, in reverse order',
    createDisposition('; filename*=UTF-8\'\'caf%C3%A9.png; filename="cafe.png"'),
    'café',
    '.png',
  ],
  ['a language', createDisposition("; filename*=utf-8'en'%e2%82%ac%20rates.txt"), '€ rates', '.txt'],
  ['another character set', createDisposition("; filename*=iso-8859-1''caf%e9.txt"), 'café', '.txt'],
  ['a quoted extended form', createDisposition('; filename*="UTF-8\'\'caf%C3%A9.png"'), 'café', '.png'],
  [
    'an extended form that is not UTF-8',
    createDisposition('; filename="x.png"; filename*=UTF-8\'\'%ff%fe.png'),
    'x',
    '.png',
  ],
  [
    'an extended form within the name',
    createDisposition('; filename="a; filename*=UTF-8\'\'b.png"'),
    "a; filename*=UTF-8''b",
    '.png',
  ],
  ['Spring, RFC 2047', createDisposition('; filename="=?UTF-8?Q?caf=C3=A9_1.png?="'), 'café 1', '.png'],
  [
    'JavaMail, RFC 2047',
    createDisposition('; filename="=?UTF-8?B?Y2Fmw6k=?= =?utf-8?b?LnBuZw==?="'),
    'café',
    '.png',
  ],
  [
    'RFC 2047 with an unknown character set',
    createDisposition('; filename="=?nothing?B?eA==?=.png"'),
    '=?nothing?B?eA==?=',
    '.png',
  ],
  ['an empty name', createDisposition('; filename=""'), 'file', ''],
  ['a blank name', createDisposition('; filename="  "'), 'file', ''],
  ['invisible characters', createDisposition('; filename="\u200b\u3164"'), 'file', ''],
  ['only dots', createDisposition('; filename="..."'), 'file', ''],
  ['a device of Windows', createDisposition('; filename="CON.png"'), '_CON', '.png'],
  ['a device of Windows without extension', createDisposition('; filename="nul"'), '_nul', ''],
  [
    'a name that begins like a device of Windows',
    createDisposition('; filename="console.png"'),
    'console',
    '.png',
  ],
  [
    'a name with a right-to-left override',
    createDisposition('; filename="gnp.\u202eexe.png"'),
    'gnp.exe',
    '.png',
  ],
  ['a sentence', createDisposition('; filename="Letter to Dr. Smith"'), 'Letter to Dr. Smith', ''],
  ['a long name', createDisposition(`; filename="${'é'.repeat(3_000)}.png"`), 'é'.repeat(120), '.png'],
];

test.each(NAMES)('the file name of %s is stored', async (_client, disposition, filename, extension) => {
  await using app = await startTestApp();
  const uploader = await openUploader(app);
  const nameDisposition = (part: string) =>
    Buffer.from(Buffer.from(disposition).toString('latin1').replace('NAME', part), 'latin1');
  const stored = { filename, extension, size: 5 };
  expect(await uploader.postLegacy({ disposition: nameDisposition('file') })).toMatchObject({
    status: 200,
    media: stored,
  });
  expect((await uploader.postGraphql({ disposition: nameDisposition('0') })).media).toMatchObject(stored);
});

test('a header with unterminated parameters is parsed in linear time', () => {
  const parts = [
    '"\\',
    ';',
    '; a',
    '; a=',
    '; a="',
    '"',
    ';"',
    '=?',
    '=?a?b?',
    "; filename*=a'",
    '; filename="\\',
    ' ',
  ];
  for (const part of parts)
    for (let count = 0; count < 300; count += 1)
      expect(readFilename(`form-data${part.repeat(16_000 / part.length)}`), part).not.toBe('x');
});

test('a part without a file name is a file if it is named `file`', async () => {
  await using app = await startTestApp();
  const uploader = await openUploader(app);
  expect(await uploader.postLegacy({ disposition: 'form-data; name="file"' })).toMatchObject({
    status: 200,
    media: { filename: 'file', extension: '', size: 5 },
  });
});

test('headers of parts are parsed in any case, and folded', async () => {
  await using app = await startTestApp();
  const uploader = await openUploader(app);
  const disposition = 'Form-Data; Name="file";\r\n FileName="a b.png"';
  expect((await uploader.postLegacy({ disposition })).media).toMatchObject({
    filename: 'a b',
    extension: '.png',
  });
});

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');

test.each([
  ['base64', PNG.toString('base64')],
  [' BASE64 ', `${PNG.toString('base64').replace(/.{5}/g, '$&\r\n')}\r\n`],
  ['base64', PNG.toString('base64').replace(/=+$/, '')],
  ['quoted-printable', '=89PNG=0D=0A=1A=0A=00=00=\r\n=00=0dIH=  \r\nDR'],
  ['Binary', PNG],
  ['8bit', PNG],
])('a part sent as %j is stored decoded', async (encoding, content) => {
  await using app = await startTestApp();
  const uploader = await openUploader(app);
  const headers = `Content-Transfer-Encoding: ${encoding}\r\nContent-Type: image/png\r\n`;
  const stored = { size: PNG.length, contentType: 'image/png' };
  const legacyResponse = await uploader.postLegacy({
    disposition: 'form-data; name="file"; filename="a.png"',
    headers,
    content,
  });
  expect(legacyResponse).toMatchObject({ status: 200, media: stored });
  const graphqlResponse = await uploader.postGraphql({
    disposition: 'form-data; name="0"; filename="a"',
    headers,
    content,
  });
  expect(graphqlResponse.media).toMatchObject(stored);
});

test.each([
  ['base64', 'not base64!'],
  ['base64', 'aGVsbG8=aGVsbG8='],
  ['base64', 'aGVsb'],
  ['quoted-printable', 'a=ZZ'],
  ['quoted-printable', 'a='.padEnd(5_000)],
  ['uuencode', 'hello'],
  ['gzip', 'hello'],
])('a part sent as %j that cannot be decoded is rejected and not stored', async (encoding, content) => {
  await using app = await startTestApp();
  const uploader = await openUploader(app);
  const headers = `Content-Transfer-Encoding: ${encoding}\r\n`;
  const legacyResponse = await uploader.postLegacy({
    disposition: 'form-data; name="file"; filename="a"',
    headers,
    content,
  });
  expect(legacyResponse).toMatchObject({
    status: 400,
    body: { code: 'INVALID_INPUT' },
    media: { size: null },
  });
  const graphqlResponse = await uploader.postGraphql({
    disposition: 'form-data; name="0"; filename="a"',
    headers,
    content,
  });
  expect(graphqlResponse).toMatchObject({
    body: { errors: [{ extensions: { code: 'INVALID_INPUT' } }] },
    media: { size: null },
  });
});

test('a part under another name that cannot be decoded does not block the request', async () => {
  await using app = await startTestApp();
  const uploader = await openUploader(app);
  const other = {
    disposition: 'form-data; name="other"; filename="a"',
    headers: 'Content-Transfer-Encoding: base64\r\n',
    content: `!${'x'.repeat(200_000)}`,
  };
  const file = { disposition: 'form-data; name="file"; filename="a"' };
  expect(await uploader.postLegacy(other, file)).toMatchObject({
    status: 400,
    body: { code: 'INVALID_INPUT' },
    media: { size: null },
  });
});

test('the fields of a GraphQL upload may be encoded', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const headers = 'Content-Transfer-Encoding: base64\r\n';
  const createEncodedPart = (name: string, content: unknown): Part => ({
    disposition: `form-data; name="${name}"`,
    headers,
    content: Buffer.from(JSON.stringify(content)).toString('base64'),
  });
  const query = 'mutation ($file: Upload!) { uploadMedia(mediaId: "Media:999", file: $file) { id } }';
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ann.token}`, 'content-type': 'multipart/form-data; boundary=b' },
    body: createBody(
      createEncodedPart('operations', { query, variables: { file: null } }),
      createEncodedPart('map', { 0: ['variables.file'] }),
      { disposition: 'form-data; name="0"; filename="a"' },
    ),
  });
  expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
});

test('an encoded upload of several megabytes is decoded across chunks', async () => {
  await using app = await startTestApp();
  const { ann, conversation } = await createAnnAndBob(app);
  const { sendMessage } = await ann.graphql.run<{
    sendMessage: { media: { id: string; legacyId: number }[] };
  }>('mutation ($id: ID!) { sendMessage(conversationId: $id, files: ["f"]) { media { id legacyId } } }', {
    id: conversation.id,
  });
  const [media] = sendMessage.media;
  const content = Buffer.alloc(3_000_001, 'Parley ').toString('base64').replace(/.{76}/g, '$&\r\n');
  const uploadBody = createBody({
    disposition: 'form-data; name="file"; filename="big.bin"',
    headers: 'Content-Transfer-Encoding: base64\r\n',
    content,
  });
  const response = await postInChunks(app, ann, `/media/upload/${media?.legacyId}`, uploadBody, 77_777);
  expect(response).toContain('HTTP/1.1 200');
  expect(
    await ann.graphql.run('query ($id: ID!) { node(id: $id) { ... on Media { size } } }', { id: media?.id }),
  ).toEqual({ node: { size: 3_000_001 } });
});

async function postInChunks(
  app: TestGateway,
  { token }: TestAccount,
  path: string,
  content: Buffer,
  size: number,
): Promise<string> {
  const { hostname, port } = new URL(app.url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: test\r\nAuthorization: ${token}\r\nConnection: close\r\n` +
      `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: ${content.length}\r\n\r\n`,
  );
  for (let from = 0; from < content.length; from += size) {
    const piece = content.subarray(from, from + size);
    await new Promise<void>((resolve, reject) => {
      socket.write(piece, (error) => (error ? reject(error) : resolve()));
    });
  }
  let response = '';
  for await (const chunk of socket) response += String(chunk);
  return response;
}
