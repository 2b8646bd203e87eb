import { decodeJwt, SignJWT } from 'jose';
import { pause } from '../harness/waiting.ts';

/** A token of the same account as another one, that is valid for as long as `lifetime` says. */
export const signToken = (secret: string, token: string, lifetime: string): Promise<string> =>
  new SignJWT({ sub: decodeJwt(token).sub, kind: 'user', jti: crypto.randomUUID() })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime(lifetime)
    .sign(new TextEncoder().encode(secret));

/** Resolves once the server accepts the token no longer. */
export async function untilRefused(url: string, token: string): Promise<void> {
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
