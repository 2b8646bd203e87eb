import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { PNG } from '../harness/media.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import type { GraphqlError } from '../../src/testing/index.ts';
import type { ActorName } from './actors.ts';
import type { Fixture } from './fixture.ts';
import type { Ids, Operation, Outcome, Row } from './rows.ts';

/** The result of a cell over one transport. */
export interface CellResult {
  readonly outcome: Outcome;
  /** The whole response. */
  readonly text: string;
}

interface GraphqlResult {
  readonly data?: unknown;
  readonly errors?: readonly GraphqlError[];
}

/** Ids of the same types, of objects that do not exist. */
const toUnknownIds = (ids: Ids): Ids =>
  Object.fromEntries(
    Object.entries(ids).map(([name, id]) => [name, `${String(id).split(':')[0]}:2147483647`]),
  ) as unknown as Ids;

/** Runs a row as an actor over each transport, by name. With `unknown`, the objects do not exist. */
export async function runCell(
  fixture: Fixture,
  { operation }: Row,
  actor: ActorName,
  unknown = false,
): Promise<Readonly<Record<string, CellResult>>> {
  const ids = unknown ? toUnknownIds(fixture.idsFor(actor)) : fixture.idsFor(actor);
  const token = fixture.tokenOf(actor);
  const { url } = fixture.app;
  switch (operation.type) {
    case 'query': {
      const document = operation.document(ids, fixture.accounts());
      return {
        http: toCellResult(await sendOverHttp(url, token, document)),
        get: toCellResult(await sendInUrl(url, token, document)),
        websocket: await runOverWebSocket(url, token, document),
      };
    }
    case 'mutation':
      return {
        http: toCellResult(await sendOverHttp(url, token, operation.document(ids, fixture.accounts()))),
      };
    case 'upload':
      return {
        http: toCellResult(await sendUpload(url, token, operation.document(ids, fixture.accounts()))),
      };
    case 'subscription': {
      const document = operation.document(ids, fixture.accounts());
      const trigger = await createTrigger(url, token, operation, ids);
      return {
        sse: await readEventStream(url, token, document, trigger),
        websocket: await runOverWebSocket(url, token, document, trigger),
      };
    }
    case 'channel':
      return { 'socket.io': await emit(url, token, operation, ids) };
    case 'http':
      return {
        http: await request(
          url,
          operation.isWithoutToken === true ? undefined : token,
          operation.method,
          operation.path(ids),
        ),
      };
    case 'tus':
      return { http: await requestResumable(fixture.folderApp.url, token, operation, ids) };
  }
}

const MAX_ATTEMPTS = 50;
/** Longest wait of a caller with access: on a busy machine the inspection of a file ends early, and is repeated within 180 s. */
const RESULT_TIMEOUT_MS = 200_000;

const headersOf = (token: string | undefined): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` };

async function sendOverHttp(url: string, token: string | undefined, query: string): Promise<GraphqlResult> {
  const client = createGraphqlClient(url, token);
  const { data, errors } = await client.send(query);
  return errors === undefined ? { data } : { data, errors };
}

async function sendInUrl(url: string, token: string | undefined, query: string): Promise<GraphqlResult> {
  const parameters = new URLSearchParams({ query }).toString();
  const response = await fetch(`${url}/graphql?${parameters}`, {
    headers: { ...headersOf(token), accept: 'application/graphql-response+json' },
  });
  return (await response.json()) as GraphqlResult;
}

async function sendUpload(url: string, token: string | undefined, query: string): Promise<GraphqlResult> {
  const body = new FormData();
  body.set('operations', JSON.stringify({ query, variables: { file: null } }));
  body.set('map', JSON.stringify({ 0: ['variables.file'] }));
  body.set('0', new Blob([PNG]), 'new.png');
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { ...headersOf(token), 'apollo-require-preflight': 'true' },
    body,
  });
  return (await response.json()) as GraphqlResult;
}

/** Causes an item of a subscription, if the caller has access to it. */
type Trigger = (attempt: number) => Promise<unknown>;

async function createTrigger(
  url: string,
  token: string | undefined,
  { trigger }: Extract<Operation, { type: 'subscription' }>,
  ids: Ids,
): Promise<Trigger | undefined> {
  if (trigger === undefined) return undefined;
  const client = createGraphqlClient(url, token);
  const { data } = await client.send<{ me: { id: string } }>('{ me { ... on Node { id } } }');
  return (attempt) => {
    const mutation = trigger(ids, data?.me.id ?? 'User:1', attempt);
    return mutation.includes('$file') ? sendUpload(url, token, mutation) : client.send(mutation);
  };
}

/** Resolves with the result. Calls the trigger again and again until then, as the subscription may not be open yet. */
async function waitForResult<Result>(result: Promise<Result>, trigger: Trigger | undefined): Promise<Result> {
  let isSettled = false;
  const settled = result.finally(() => void (isSettled = true));
  for (let attempt = 0; trigger !== undefined && !isSettled && attempt < MAX_ATTEMPTS; attempt += 1)
    await trigger(attempt);
  return settled;
}

/** Runs an operation up to its first result. */
async function runOverWebSocket(
  url: string,
  token: string | undefined,
  query: string,
  trigger?: Trigger,
): Promise<CellResult> {
  await using socket = await openGraphqlSocket(url);
  socket.send({ type: 'connection_init', payload: token === undefined ? {} : { token } });
  const closed = socket.waitForClose().then(({ code }) => code);
  // Without a close, this rejects after the test.
  closed.catch(() => undefined);
  // A bad token ends the connection.
  if ((await Promise.race([socket.nextOf('connection_ack'), closed])) === 4403)
    return { outcome: 'UNAUTHENTICATED', text: '' };
  socket.send({ id: '1', type: 'subscribe', payload: { query } });
  const { type, payload } = await waitForResult(socket.next(undefined, RESULT_TIMEOUT_MS), trigger);
  return toCellResult(type === 'error' ? { errors: payload as GraphqlError[] } : (payload as GraphqlResult));
}

/** Subscribes over Server-Sent Events and reads the first result. */
async function readEventStream(
  url: string,
  token: string | undefined,
  query: string,
  trigger: Trigger | undefined,
): Promise<CellResult> {
  const abort = new AbortController();
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...headersOf(token) },
    body: JSON.stringify({ query }),
    signal: abort.signal,
  });
  const result = await waitForResult(readFirstEvent(response), trigger);
  abort.abort();
  return toCellResult(result);
}

async function readFirstEvent({ body }: Response): Promise<GraphqlResult> {
  let text = '';
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    const [, data] = /^data: (.+)$/m.exec(text) ?? [];
    if (data !== undefined && text.endsWith('\n\n')) return JSON.parse(data) as GraphqlResult;
  }
  throw new Error(`The event stream has ended: ${text}`);
}

function toCellResult(result: GraphqlResult): CellResult {
  const text = JSON.stringify(result);
  const [error] = result.errors ?? [];
  if (error !== undefined) return { outcome: String(error.extensions?.['code']), text };
  const [root] = Object.values(result.data ?? {});
  if (root === null || (Array.isArray(root) && root.every((item) => item === null)))
    return { outcome: 'absent', text };
  return { outcome: isEmpty(root) ? 'empty' : 'yes', text };
}

/** Whether every leaf is null or in an empty list. */
function isEmpty(value: unknown): boolean {
  if (value === null) return true;
  if (typeof value !== 'object') return false;
  return Object.values(value).every(isEmpty);
}

async function emit(
  url: string,
  token: string | undefined,
  { channel, payload }: Extract<Operation, { type: 'channel' }>,
  ids: Ids,
): Promise<CellResult> {
  await using socket = await openPacketSocket(url);
  // Also without a token: the events of a socket wait for its first `authenticate`.
  const authenticated = await socket.request('authenticate', { token: token ?? 'none' });
  const packets = channel === 'authenticate' ? authenticated : await socket.request(channel, payload(ids));
  const [, text] =
    packets
      .map((packet) => JSON.parse(packet.replace(/^\d+/, '')) as [string, string])
      .find(([name]) => name === 'error') ?? [];
  return { outcome: text ?? 'yes', text: packets.join('\n') };
}

async function request(
  url: string,
  token: string | undefined,
  method: 'GET' | 'POST',
  path: string,
): Promise<CellResult> {
  const body = new FormData();
  body.set('file', new Blob(['content']), 'new.txt');
  const response = await fetch(`${url}${path}`, {
    method,
    headers: headersOf(token),
    ...(method === 'POST' ? { body } : {}),
  });
  const text = await response.text();
  const outcome = response.ok ? 'yes' : (JSON.parse(text) as { code: string }).code;
  return { outcome, text };
}

const CODES = new Map<number, Outcome>([
  [401, 'UNAUTHENTICATED'],
  [403, 'FORBIDDEN'],
  [404, 'NOT_FOUND'],
]);

async function requestResumable(
  url: string,
  token: string | undefined,
  { method, id }: Extract<Operation, { type: 'tus' }>,
  ids: Ids,
): Promise<CellResult> {
  const path = method === 'POST' ? '' : id(ids);
  const metadata = `mediaId ${Buffer.from(id(ids)).toString('base64')}`;
  const response = await fetch(`${url}/media/resumable/${path}`, {
    method,
    headers: {
      ...headersOf(token),
      'tus-resumable': '1.0.0',
      ...(method === 'POST' && { 'upload-length': '1', 'upload-metadata': metadata }),
      ...(method === 'PATCH' && { 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' }),
    },
    ...(method === 'PATCH' && { body: 'x' }),
  });
  // A response to HEAD has no body.
  const text = await response.text();
  return { outcome: response.ok ? 'yes' : (CODES.get(response.status) ?? String(response.status)), text };
}
