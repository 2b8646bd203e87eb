import { getNullableType, GraphQLError, isListType } from 'graphql';
import type { GraphQLOutputType } from 'graphql';
import { DomainError, ERROR_CODES } from '../errors.ts';
import { MissingPerActorMarkError } from './context.ts';
import { isGraphQLError } from './graphql-error.ts';

/** The failure of a host's resolver: INTERNAL for clients, whatever its cause, and no outage of the gateway. */
class HostError extends Error {
  override readonly name = 'HostError';

  constructor(cause: unknown) {
    super('A resolver of the host failed', { cause });
  }
}

/** Errors of reads of the gateway, which pass through resolvers of a host unchanged. */
const readErrors = new WeakSet<object>();

/** Awaits a read of the gateway for a resolver of a host. */
export async function readForHost<Value>(read: Promise<Value>): Promise<Value> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof Error) readErrors.add(error);
    throw error;
  }
}

/**
 * Returns the value of a host's resolver, for a field of this type. What the host throws, in the call or in a promise of
 * the value, is thrown as its `GraphQLError` with a code, or as a failure of the host. An outage of its own is then none
 * of the gateway, which would repeat the event.
 */
export function resolveForHost(type: GraphQLOutputType, resolve: () => unknown): unknown {
  try {
    return guard(type, resolve());
  } catch (error) {
    throw toHostError(error);
  }
}

function guard(type: GraphQLOutputType, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('then' in value && typeof value.then === 'function')
    return guardPromise(type, value as PromiseLike<unknown>);
  const listType = getNullableType(type);
  if (!isListType(listType)) return value;
  if (Symbol.asyncIterator in value) return guardItems(listType.ofType, value as AsyncIterable<unknown>);
  if (!(Symbol.iterator in value)) return value;
  return Array.from(value as Iterable<unknown>, (item) => guard(listType.ofType, item));
}

async function guardPromise(type: GraphQLOutputType, promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    return guard(type, await promise);
  } catch (error) {
    throw toHostError(error);
  }
}

async function* guardItems(type: GraphQLOutputType, items: AsyncIterable<unknown>): AsyncGenerator {
  try {
    for await (const item of items) yield guard(type, item);
  } catch (error) {
    throw toHostError(error);
  }
}

function toHostError(error: unknown): Error {
  if (error instanceof DomainError || error instanceof MissingPerActorMarkError) return error;
  if (error instanceof HostError || (error instanceof Error && readErrors.has(error))) return error;
  // Without what the host has wrapped in it, which would replace it.
  if (isGraphQLError(error) && String(error.extensions['code']) in ERROR_CODES)
    return new GraphQLError(error.message, { extensions: error.extensions });
  return new HostError(error);
}
