class GraphqlError extends Error {
  constructor({ message, extensions }) {
    super(message);
    this.code = extensions?.code;
  }
}

/** Documents are shown as they travel: on one line. */
export const oneLine = (document) => document.replace(/\s+/g, ' ').trim();

/** Runs a query or a mutation over HTTP and answers its data. Throws the first error as GraphqlError. */
export async function ask(document, variables, { token, onFrame } = {}) {
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
  const answer = await response.json();
  onFrame?.('received', `HTTP ${response.status}`, answer);
  if (answer.errors) throw new GraphqlError(answer.errors[0]);
  return answer.data;
}
