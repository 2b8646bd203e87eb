import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';

const DOCUMENT = /* GraphQL */ `
  query Read {
    circles(first: 1) {
      nodes {
        eventCursor
      }
    }
  }
  mutation Write {
    createCircle(name: "Written") {
      name
    }
  }
`;

test('a mutation runs in a document that also has a query with an eventCursor', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${ann.token}` },
    body: JSON.stringify({ query: DOCUMENT, operationName: 'Write' }),
  });
  expect(await response.json()).toEqual({ data: { createCircle: { name: 'Written' } } });
});
