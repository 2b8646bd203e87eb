import type { IncomingMessage, ServerResponse } from 'node:http';
import { accountKey, payerOf } from '../../actor.ts';
import type { Session } from '../../actor.ts';
import { DomainError } from '../../errors.ts';
import { LedgerEntry, MIN_COUNTED_BYTES } from '../../lib/byte-ledger.ts';
import type { ByteLedgers, Holder } from '../../lib/byte-ledger.ts';
import { callAfter } from '../../lib/timeout.ts';
import { priorityOfLogin } from '../../lib/turn-clock.ts';
import { CONNECTION_CLOSED } from '../connection-closed.ts';
import { weighJson } from '../json-limits.ts';
import type { GraphqlHttpPorts } from './graphql-ports.ts';
import { isMultipart } from './multipart.ts';
import { MAX_BODY_BYTES } from './request-body.ts';
import type { IdentifyRequest } from './request-identity.ts';
import { sendHttpError } from './respond.ts';
import type { HttpErrorResponse } from './respond.ts';

/** Bytes of a body that cost a point to decode and parse. */
const BYTES_PER_POINT = 10_000;

/**
 * Counts the body of a request other than an upload, as large as it may become, until the request is over, and its
 * response while the client does not read it. While there are too many, the body waits at its client; it is refused with
 * RATE_LIMITED if too many wait. The response that has been held for the longest time is disconnected.
 */
export async function countHeldBytes(
  ports: Pick<GraphqlHttpPorts, 'addressOf' | 'ledgers' | 'identifyRequest'>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { socket } = request;
  const { inbound, outbound } = ports.ledgers;
  const evict = (): void => evictRequest(response);
  response.once('prefinish', () => {
    if (socket.writableLength < MIN_COUNTED_BYTES) return;
    void findHolder(ports, request).then((holder) => {
      if (response.closed) return;
      const entry = new LedgerEntry(outbound, () => holder, evict);
      response.once('close', () => entry.release());
      entry.update(socket.writableLength);
    });
  });
  const length = bodyLength(request);
  if (length < MIN_COUNTED_BYTES || isMultipart(request)) return;
  const holder = await findHolder(ports, request);
  if (response.closed) return;
  const entry = new LedgerEntry(inbound, () => holder, evict);
  response.once('close', () => entry.release());
  const closed = new AbortController();
  response.once('close', () => closed.abort(CONNECTION_CLOSED));
  // Meanwhile the body is not read, and its client waits.
  if (!(await entry.updateWhenFree(length, closed.signal))) {
    if (!response.closed) evict();
    return;
  }
  const delayMs = holder.account === undefined ? ports.ledgers.inflow.add(length) : 0;
  if (delayMs > 0) await new Promise<void>((resolve) => callAfter(delayMs, response, resolve));
}

/**
 * Charges for a large body before work on it, which its operation pays for only if it is well-formed, and waits for a turn
 * of the event loop: many may be complete in the same turn. Throws RATE_LIMITED.
 */
export function chargeBody(
  ports: Pick<GraphqlHttpPorts, 'addressOf' | 'deps' | 'identifyRequest' | 'turnClock'>,
  request: IncomingMessage,
  bytes: number,
): Promise<void> | undefined {
  if (bytes < MIN_COUNTED_BYTES) return undefined;
  const { operationLimits: limits } = ports.deps;
  const charge = async (): Promise<void> => {
    const session = await findSession(ports.identifyRequest, request);
    if (session !== undefined) {
      const payer = payerOf(session, ports.addressOf(request));
      await limits.slowly(() => limits.charge(payer, bytes / BYTES_PER_POINT));
    }
    if (ports.turnClock.isOver()) await ports.turnClock.nextTurn(accountKey(session?.actor));
  };
  return charge();
}

/**
 * Counts what is parsed next from a JSON text, until the request is over, and waits for a turn of the event loop if it is
 * large. Throws LIMIT_EXCEEDED for a text that must not be parsed, RATE_LIMITED while there are too many bytes.
 */
export function countParsedBytes(
  ports: Pick<GraphqlHttpPorts, 'addressOf' | 'ledgers' | 'identifyRequest' | 'turnClock'>,
  request: IncomingMessage,
  response: ServerResponse,
  json: string,
): Promise<void> | undefined {
  const bytes = weighJson(json);
  if (Math.max(json.length, bytes) < MIN_COUNTED_BYTES) return undefined;
  const count = async (): Promise<void> => {
    const holder = await findHolder(ports, request);
    const priority = priorityOfLogin(holder.account);
    const { ledgers, turnClock } = ports;
    if (turnClock.isOver()) await turnClock.nextTurn(accountKey(holder.account));
    if (response.closed || bytes < MIN_COUNTED_BYTES) return;
    if (!ledgers.inbound[priority].admits(bytes, holder)) throw tooManyBytesError();
    const entry = new LedgerEntry(
      ledgers.inbound,
      () => holder,
      () => evictRequest(response),
    );
    response.once('close', () => entry.release());
    entry.update(bytes);
  };
  return count();
}

/** Returns a function that sets how many bytes an upload holds beside its file, which is streamed. */
export function countUpload(
  { inbound }: ByteLedgers,
  response: ServerResponse,
  holder: Holder,
): (bytes: number) => void {
  const entry = new LedgerEntry(
    inbound,
    () => holder,
    () => evictRequest(response),
  );
  response.once('close', () => entry.release());
  return (bytes) => entry.update(bytes);
}

function evictRequest(response: ServerResponse): void {
  const { socket } = response.req;
  if (response.headersSent) return void socket.destroy();
  response.once('close', () => socket.destroy());
  response.shouldKeepAlive = false;
  sendHttpError(response, TOO_MANY_BYTES);
}

/** Returns the most bytes of a body that may be in memory together. */
function bodyLength(request: IncomingMessage): number {
  if (request.method !== 'POST') return 0;
  return Math.min(Number(request.headers['content-length'] ?? MAX_BODY_BYTES), MAX_BODY_BYTES);
}

const findHolder = async (
  { addressOf, identifyRequest }: Pick<GraphqlHttpPorts, 'addressOf' | 'identifyRequest'>,
  request: IncomingMessage,
): Promise<Holder> => ({
  account: (await findSession(identifyRequest, request))?.actor,
  address: addressOf(request),
});

/** Returns null for an anonymous client, and undefined during an outage, which the operation itself reports. */
async function findSession(
  identifyRequest: IdentifyRequest,
  request: IncomingMessage,
): Promise<Session | null | undefined> {
  try {
    const { session = null } = await identifyRequest(request);
    return session;
  } catch {
    return undefined;
  }
}

const TOO_MANY_BYTES = {
  status: 429,
  code: 'RATE_LIMITED',
  message: 'Too many large requests. Try again later.',
  retryAfterMs: 1_000,
} as const satisfies HttpErrorResponse;

const tooManyBytesError = (): DomainError =>
  new DomainError(TOO_MANY_BYTES.code, TOO_MANY_BYTES.message, { retryAfterMs: TOO_MANY_BYTES.retryAfterMs });
