class GraphqlError extends Error {
  constructor({ message, extensions }) {
    super(message);
    this.code = extensions?.code;
  }
}

/** Collapses white space, so that a document is shown as it is sent. */
export const oneLine = (document) => document.replace(/\s+/g, ' ').trim();

/** Runs a query or a mutation over HTTP and returns its data. Throws a GraphqlError for the first error. */
export async function execute(document, variables, { token, onFrame } = {}) {
  const body = { query: oneLine(document), variables };
  onFrame?.('sent', 'POST /graphql', body);
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  });
  const result = await response.json();
  onFrame?.('received', `HTTP ${response.status}`, result);
  if (result.errors) throw new GraphqlError(result.errors[0]);
  return result.data;
}
