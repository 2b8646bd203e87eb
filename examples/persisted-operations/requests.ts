import { createHash } from 'node:crypto';
import { createSession } from '../session.ts';

const session = createSession();

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** `fetch` with the token, logging each request: `POST hash`, `GET hash`, `POST hash text` or `POST text`. */
export const printingFetch: typeof fetch = async (input, init = {}) => {
  const target = new URL(input instanceof Request ? input.url : input);
  const method = init.method ?? 'GET';
  const sent: { query?: string; extensions?: unknown } =
    method === 'GET'
      ? Object.fromEntries(target.searchParams)
      : JSON.parse(await new Response(init.body).text());
  const parts = [sent.extensions && 'hash', sent.query && 'text'].filter(Boolean);
  console.log(method, ...parts);
  const authorization = `Bearer ${await session.getToken()}`;
  return fetch(target, {
    ...init,
    headers: { ...Object.fromEntries(new Headers(init.headers)), authorization },
  });
};

export const connectionParams = async () => ({ token: await session.getToken() });
