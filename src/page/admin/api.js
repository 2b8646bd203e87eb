const TOKEN = 'parley operators token';

/** Returns the token that this tab was given; null without one. */
export const readToken = () => sessionStorage.getItem(TOKEN);
export const keepToken = (token) => sessionStorage.setItem(TOKEN, token);
export const forgetToken = () => sessionStorage.removeItem(TOKEN);

/** Longer than the gateway waits for nodes that do not answer. */
const TIMEOUT_MS = 15_000;

/** Runs an operation of the operators' API. Throws an error with `code`: UNAUTHENTICATED without the right token. */
export async function send(document, variables = {}) {
  const token = readToken();
  const response = await fetch('/admin/graphql', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json, application/json',
      ...(token !== null && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query: document, variables }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const { data, errors } = await response.json().catch(() => {
    throw new Error(`The gateway responded with status ${response.status}.`);
  });
  if (errors === undefined) return data;
  const [{ message, extensions }] = errors;
  throw Object.assign(new Error(message), { code: extensions?.code });
}
