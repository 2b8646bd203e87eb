export const url = process.env.PARLEY_URL ?? 'http://127.0.0.1:4000';
export const graphqlUrl = `${url}/graphql`;
export const webSocketUrl = graphqlUrl.replace(/^http/, 'ws');

export interface Session {
  getToken(): Promise<string>;
  /** Stores a renewed token. */
  setToken(newToken: string): void;
  /** Discards an expired token: the next `getToken` logs in again. */
  forget(): void;
}

/** Creates the session of a user. An app prompts for the password and stores the token; here both are in memory. */
export function createSession(): Session {
  let token = process.env.PARLEY_TOKEN;
  return {
    getToken: async () => (token ??= await logIn('ann@example.com', 'parley')),
    setToken(newToken) {
      token = newToken;
    },
    forget() {
      token = undefined;
    },
  };
}

/** Checks whether a subscription or its WebSocket ended because the token expired, not because of a logout. */
export function isTokenExpired(problem: unknown): boolean {
  if (Array.isArray(problem)) return problem.some(({ extensions }) => extensions?.reason === 'TOKEN_EXPIRED');
  const { code, reason } = problem as { code?: unknown; reason?: unknown };
  return code === 4403 || (code === 4401 && reason === 'TOKEN_EXPIRED');
}

async function logIn(email: string, password: string): Promise<string> {
  const query = `mutation ($email: String!, $password: String!) {
    login(email: $email, password: $password) { token }
  }`;
  const response = await fetch(graphqlUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { email, password } }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors[0].message);
  return data.login.token;
}
