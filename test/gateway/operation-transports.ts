import { expect } from 'vitest';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';

/** What a transport returned for an operation. */
export interface Outcome {
  /** The code of the first error; undefined for a result without errors. */
  readonly code: unknown;
  /** Of the first error, in milliseconds; 0 without. */
  readonly retryAfterMs: number;
}

interface Result {
  readonly errors?: readonly { readonly extensions: Readonly<Record<string, unknown>> }[];
}

const outcomeOf = ({ errors = [] }: Result): Outcome => ({
  code: errors[0]?.extensions['code'],
  retryAfterMs: Number(errors[0]?.extensions['retryAfterMs'] ?? 0),
});

export type OperationType = 'query' | 'mutation' | 'subscription';

/** Runs a document until its first result. */
export type RunOperation = (url: string, token: string | undefined, document: string) => Promise<Outcome>;

const headersOf = (token: string | undefined, accept: string): Record<string, string> => ({
  accept,
  ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
});

/** Expects the status and the header that a client of HTTP needs. */
function expectStatus({ status, headers }: Response, { code, retryAfterMs }: Outcome): void {
  expect(status === 429, String(code)).toBe(code === 'RATE_LIMITED');
  expect(headers.get('retry-after')).toBe(
    code === 'RATE_LIMITED' ? String(Math.ceil(retryAfterMs / 1_000)) : null,
  );
}

async function readOutcome(response: Response): Promise<Outcome> {
  const outcome = outcomeOf((await response.json()) as Result);
  expectStatus(response, outcome);
  return outcome;
}

const post = (
  url: string,
  token: string | undefined,
  accept: string,
  document: string,
  signal?: AbortSignal,
) =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { ...headersOf(token, accept), 'content-type': 'application/json' },
    body: JSON.stringify({ query: document }),
    signal: signal ?? null,
  });

const runByPost: RunOperation = async (url, token, document) =>
  readOutcome(await post(url, token, 'application/json', document));

const runByGet: RunOperation = async (url, token, document) =>
  readOutcome(
    await fetch(`${url}/graphql?${new URLSearchParams({ query: document }).toString()}`, {
      headers: headersOf(token, 'application/json'),
    }),
  );

export const runBySse: RunOperation = async (url, token, document) => {
  const abort = new AbortController();
  const { body } = await post(url, token, 'text/event-stream', document, abort.signal);
  let text = '';
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    const [, data] = /^data: (.+)$/m.exec(text) ?? [];
    if (data !== undefined) return outcomeOf(JSON.parse(data) as Result);
  }
  throw new Error(`The event stream has ended: ${text}`);
};

const runByWebSocket: RunOperation = async (url, token, document) => {
  await using socket = await openGraphqlSocket(url, token === undefined ? {} : { token });
  socket.send({ id: '1', type: 'subscribe', payload: { query: document } });
  const { type: frame, payload } = await socket.next();
  return outcomeOf((frame === 'error' ? { errors: payload } : payload) as Result);
};

/** A transport of GraphQL, and the types of operations that it runs. */
export interface Transport {
  readonly name: string;
  readonly types: readonly OperationType[];
  readonly run: RunOperation;
}

export const TRANSPORTS: readonly [Transport, ...Transport[]] = [
  { name: 'POST', types: ['query', 'mutation'], run: runByPost },
  { name: 'GET', types: ['query'], run: runByGet },
  { name: 'SSE', types: ['query', 'mutation', 'subscription'], run: runBySse },
  { name: 'WebSocket', types: ['query', 'mutation', 'subscription'], run: runByWebSocket },
];
