import { decodeJwt, SignJWT } from 'jose';
import { pause } from '../harness/waiting.ts';

/** Signs a token of the same account as another token, with the given lifetime. */
export const signToken = (secret: string, token: string, lifetime: string): Promise<string> =>
  new SignJWT({ sub: decodeJwt(token).sub, kind: 'user', jti: crypto.randomUUID() })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime(lifetime)
    .sign(new TextEncoder().encode(secret));

/** Resolves once the server rejects the token. */
export async function waitUntilRejected(url: string, token: string): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: '{ me { __typename } }' }),
    });
    const { errors } = (await response.json()) as { errors?: readonly unknown[] };
    if (errors !== undefined) return;
    await pause(100);
  }
}
