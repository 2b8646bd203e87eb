import { createClient } from '/graphiql/vendor/graphql-ws/client.js';
import { resumable } from '/graphiql/vendor/parley-client.js';

/** Newest events of a subscription that are shown. */
const MAX_EVENTS = 200;

/**
 * Creates the function that runs an operation of the editor: subscriptions over a WebSocket that resumes, all others over HTTP. The
 * headers of the editor take precedence over the token.
 */
export function createFetcher({ endpoint, getToken }) {
  const withToken = (headers) => {
    const token = getToken();
    const isGiven = Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
    return isGiven || token === undefined ? headers : { ...headers, authorization: `Bearer ${token}` };
  };
  return (operation, { headers = {}, documentAST } = {}) =>
    isSubscription(documentAST, operation.operationName)
      ? subscribe(endpoint, operation, withToken(headers))
      : post(endpoint, operation, withToken(headers));
}

function isSubscription(document, name) {
  const operations = document?.definitions.filter(({ kind }) => kind === 'OperationDefinition') ?? [];
  const run = operations.length === 1 ? operations[0] : operations.find((one) => one.name?.value === name);
  return run?.operation === 'subscription';
}

async function post(endpoint, operation, headers) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
    body: JSON.stringify(operation),
  });
  return response.json();
}

/** Iterates over what the subscription has delivered until then, the newest event first. */
function subscribe(endpoint, { query, operationName, variables }, headers) {
  const url = new URL(endpoint, location.href.replace(/^http/, 'ws')).href;
  // Header names are those of the editor; the server reads them in lower case.
  const connectionParams = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const client = resumable(createClient({ url, connectionParams, retryAttempts: 0 }));
  const results = client.iterate({ query, operationName, variables });
  const events = [];
  let received = 0;
  const show = (entry) => {
    received += 1;
    events.unshift({ number: received, ...entry });
    events.length = Math.min(events.length, MAX_EVENTS);
    return { done: false, value: { received, events: [...events] } };
  };
  let isOver = false;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      if (isOver) return { done: true, value: undefined };
      try {
        const { done, value } = await results.next();
        if (!done) return show({ ...value.data, ...(value.errors && { errors: value.errors }) });
        isOver = true;
      } catch (problem) {
        isOver = true;
        return show({ ended: describe(problem) });
      } finally {
        if (isOver) void client.dispose();
      }
      return { done: true, value: undefined };
    },
    async return() {
      isOver = true;
      await client.dispose();
      return { done: true, value: undefined };
    },
  };
}

/** Returns the errors that ended a subscription, or the code and reason with which its connection was closed. */
function describe(problem) {
  if (Array.isArray(problem)) return { errors: problem };
  if (typeof problem?.code === 'number') return { code: problem.code, reason: problem.reason };
  return { message: String(problem?.message ?? problem) };
}
