export const url = process.env.PARLEY_URL ?? 'http://127.0.0.1:4000';
export const graphqlUrl = `${url}/graphql`;
export const webSocketUrl = graphqlUrl.replace(/^http/, 'ws');

export interface Session {
  getToken(): Promise<string>;
  /** Stores a renewed token. */
  setToken(renewed: string): void;
  /** Discards an expired token: the next `getToken` logs in again. */
  forget(): void;
}

/** The session of a user. An app prompts for the password and stores the token; here both are in memory. */
export function createSession(): Session {
  let token = process.env.PARLEY_TOKEN;
  return {
    getToken: async () => (token ??= await logIn('ann@example.com', 'parley')),
    setToken(renewed) {
      token = renewed;
    },
    forget() {
      token = undefined;
    },
  };
}

/** Whether a subscription or its WebSocket ended because the token expired. After a logout it did not. */
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
