import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';

// Requests of the common form are executed without Yoga. In chunks, the same bodies are not of that form.

/** Sends a request on a connection of its own. Returns the response as text, with a constant date. */
async function send(url: string, head: readonly string[], body: Buffer): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(`POST /graphql HTTP/1.1\r\nHost: test\r\nConnection: close\r\n${head.join('\r\n')}\r\n\r\n`);
  socket.write(body);
  return (await text(socket)).replace(/^Date: .*$/im, 'Date: now');
}

const sendWhole = (url: string, head: readonly string[], body: Buffer): Promise<string> =>
  send(url, [...head, `Content-Length: ${body.length}`], body);

const sendChunked = (url: string, head: readonly string[], body: Buffer): Promise<string> =>
  send(
    url,
    [...head, 'Transfer-Encoding: chunked'],
    Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]),
  );

const JSON_TYPE = 'Content-Type: application/json';

/** `Accept` of browsers and libraries, and others. */
const ACCEPTED = [
  '*/*',
  'application/json',
  'application/graphql-response+json',
  'application/graphql-response+json, application/json',
  'application/graphql-response+json, application/json;q=0.9',
  'application/graphql-response+json,application/json;q=0.9',
  'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed',
  'application/json, text/event-stream',
  'application/json, text/plain, */*',
  'text/html',
  'application/xml',
];

const QUERY = '{ me { ... on User { id firstName isOnline circles { nodes { id name } } } } __typename }';

/** Bodies with and without errors of each kind; none changes anything that the others read. */
const BODIES: readonly string[] = [
  JSON.stringify({ query: QUERY }),
  JSON.stringify({ query: QUERY, variables: null, operationName: null }),
  JSON.stringify({ query: QUERY, variables: {}, operationName: '', extensions: null }),
  JSON.stringify({ query: QUERY, variables: [] }),
  JSON.stringify({ query: QUERY, operationName: 7 }),
  JSON.stringify({ query: QUERY, extensions: {} }),
  JSON.stringify({ query: QUERY, extensions: { a: 1 } }),
  JSON.stringify({ query: QUERY, other: 1 }),
  JSON.stringify({ query: QUERY, id: '1' }),
  JSON.stringify({
    query: QUERY,
    extensions: { persistedQuery: { version: 1, sha256Hash: 'a'.repeat(64) } },
  }),
  JSON.stringify([{ query: QUERY }]),
  JSON.stringify({ query: 'query A { __typename } query B { b: __typename }', operationName: 'B' }),
  JSON.stringify({ query: 'query A { __typename } query B { b: __typename }', operationName: 'C' }),
  JSON.stringify({ query: 'query A { __typename } query B { b: __typename }' }),
  JSON.stringify({
    query: 'query A($id: ID!) { circle(id: $id) { name } }',
    variables: { id: 'Circle:999' },
  }),
  JSON.stringify({ query: 'query A($id: ID!) { circle(id: $id) { name } }', variables: { id: {} } }),
  JSON.stringify({ query: 'query A($id: ID!) { circle(id: $id) { name } a: __typename }' }),
  JSON.stringify({ query: '{ a: circle(id: "Circle:999") { id } b: __typename c: me { __typename } }' }),
  JSON.stringify({ query: 'mutation { updateAccount(input: { firstName: "" }) { id } }' }),
  JSON.stringify({ query: 'mutation { updateAccount(input: { firstName: "Ann ’" }) { firstName } }' }),
  JSON.stringify({ query: 'subscription { inboxEvents { __typename } }' }),
  JSON.stringify({ query: '{ nothing }' }),
  JSON.stringify({ query: '{' }),
  JSON.stringify({ query: '' }),
  JSON.stringify({ query: `{ __typename ${' '.repeat(20_000)} }` }),
  JSON.stringify({
    query: '{ __typename }',
    variables: { a: Array.from({ length: 500 }, () => ({ a: [] })) },
  }),
  JSON.stringify({
    query: '{ __typename }',
    variables: JSON.parse(`${'['.repeat(90)}${']'.repeat(90)}`) as object,
  }),
  `{"query":"{ __typename }","variables":{"a":${'['.repeat(300)}${']'.repeat(300)}}}`,
  '{"query":"{ __typename }","query":"{ a: __typename }","__proto__":{"a":1}}',
  '{"query":"{ __typename }"',
  'null',
  '""',
  '\uFEFF{"query":"{ __typename }"}',
];

test(
  'a request has the response of Yoga, byte by byte, whatever its form',
  { timeout: 120_000 },
  async () => {
    await using app = await startTestApp();
    const { token } = await app.createAccount({ email: 'ann@example.com', firstName: 'Ann ’' });
    const bodies = [
      ...BODIES.map((body) => Buffer.from(body)),
      Buffer.from('{"query":"{ __typename }\xff"}', 'latin1'),
    ];
    const compare = async (head: readonly string[], body: Buffer): Promise<void> => {
      // The second of each pair finds the document in the cache.
      await sendChunked(app.url, head, body);
      const expected = await sendChunked(app.url, head, body);
      expect(
        await sendWhole(app.url, head, body),
        `${head.join('\n')}\n\n${body.toString().slice(0, 300)}`,
      ).toBe(expected);
    };
    const login = `Authorization: Bearer ${token}`;
    for (const body of bodies) if (!body.includes('subscription')) await compare([JSON_TYPE, login], body);
    for (const body of bodies) await compare([JSON_TYPE, 'Authorization: Bearer wrong'], body);
    const [query = Buffer.of()] = bodies;
    const failing = Buffer.from('{"query":"{ a: circle(id: \\"Circle:999\\") { id } b: __typename }"}');
    for (const accept of ACCEPTED)
      for (const body of [query, failing, Buffer.from('{}')])
        await compare([JSON_TYPE, `Accept: ${accept}`, login], body);
    for (const type of [
      'application/json; charset=utf-8',
      'application/graphql+json',
      'application/json; charset=utf-16',
      'text/plain',
    ])
      await compare([`Content-Type: ${type}`, login], query);
    for (const other of ['X-Request-Id: 1', 'Origin: https://other.test', 'Accept-Encoding: gzip'])
      await compare([JSON_TYPE, login, other], query);
  },
);
