class GraphqlError extends Error {
  constructor({ message, extensions }) {
    super(message);
    this.code = extensions?.code;
    this.isRetryable = this.code === 'UNAVAILABLE';
  }
}

/** Collapses white space, so that a document is shown as it is sent. */
export const oneLine = (document) => document.replace(/\s+/g, ' ').trim();

/** Requests `/graphql`. The error of a connection that fails is retryable: the request may or may not have arrived. */
async function request(options) {
  try {
    const response = await fetch('/graphql', options);
    return { status: response.status, result: await response.json() };
  } catch (error) {
    throw Object.assign(new Error('The connection failed.', { cause: error }), { isRetryable: true });
  }
}

/** Runs a query or a mutation over HTTP and returns its data. Throws a GraphqlError for the first error. */
export async function execute(document, variables, { token, onFrame } = {}) {
  const body = { query: oneLine(document), variables };
  onFrame?.('sent', 'POST /graphql', body);
  const { status, result } = await request({
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  });
  onFrame?.('received', `HTTP ${status}`, result);
  if (result.errors) throw new GraphqlError(result.errors[0]);
  return result.data;
}
