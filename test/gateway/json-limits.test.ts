import { expect, test } from 'vitest';
import { MAX_JSON_PARTS } from '../../src/lib/json-weight.ts';
import { createCircle } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';

const DEEP = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;
const WIDE = `[${'{},'.repeat(MAX_JSON_PARTS)}{}]`;
/** A list of numbers, as some clients send binary data. */
const SAMPLES = `[${'17,'.repeat(30_000)}17]`;

const formOf = (variables: string): URLSearchParams =>
  new URLSearchParams({ query: '{ __typename }', variables: `{"a":${variables}}` });

function multipartOf(variables: string): FormData {
  const form = new FormData();
  form.append('operations', `{"query":"{ __typename }","variables":{"a":${variables}}}`);
  form.append('map', '{"file":["variables.file"]}');
  form.append('file', new Blob(['x']), 'a.txt');
  return form;
}

const HTTP_FORMS: readonly (readonly [string, (url: string, variables: string) => Promise<Response>])[] = [
  [
    'JSON',
    (url, variables) =>
      fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: `{"query":"{ __typename }","variables":{"a":${variables}}}`,
      }),
  ],
  ['a form', (url, variables) => fetch(`${url}/graphql`, { method: 'POST', body: formOf(variables) })],
  [
    'multipart',
    (url, variables) => fetch(`${url}/graphql`, { method: 'POST', body: multipartOf(variables) }),
  ],
];

test.for(HTTP_FORMS)('%s with too many parts or levels is LIMIT_EXCEEDED', async ([, post]) => {
  await using app = await startTestApp();
  for (const variables of [DEEP, WIDE]) {
    const response = await post(app.url, variables);
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'LIMIT_EXCEEDED' } }] });
  }
});

test('lists of numbers are not limited by their length', async () => {
  await using app = await startTestApp();
  for (const [, post] of HTTP_FORMS)
    expect(await (await post(app.url, SAMPLES)).json()).toEqual({ data: { __typename: 'Query' } });
  const [ann, bob] = await Promise.all([app.createAccount(), app.createAccount()]);
  await createCircle(ann, bob);
  const [caller, callee] = await Promise.all([ann.connectLegacy(), bob.connectLegacy()]);
  const content = { user_id: bob.legacyId, message: JSON.parse(SAMPLES) as unknown };
  await caller.push('webrtc_forward', content);
  expect(await callee.expect('webrtc_forward')).toMatchObject({ content });
  caller.close();
  callee.close();
});

test('variables in a URL that nest too deep are LIMIT_EXCEEDED', async () => {
  await using app = await startTestApp();
  const response = await fetch(`${app.url}/graphql?query={__typename}&variables={"a":${DEEP}}`);
  expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'LIMIT_EXCEEDED' } }] });
});

test.for([DEEP, WIDE])('a frame with too many parts or levels closes with 4400', async (variables) => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url, {});
  socket.send(
    `{"id":"1","type":"subscribe","payload":{"query":"{ __typename }","variables":{"a":${variables}}}}`,
  );
  expect(await socket.waitForClose()).toMatchObject({ code: 4400, reason: 'LIMIT_EXCEEDED' });
});
