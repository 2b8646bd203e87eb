/** Reads a token from a header or payload value: `Bearer <token>`, or the token alone, as legacy uploads send it. */
export function bearerToken(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const token = value.replace(/^bearer\s+/i, '').trim();
  return token === '' ? undefined : token;
}
