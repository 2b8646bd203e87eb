import { parse as parseContentType } from 'content-type';
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { DomainError } from '../../errors.ts';

export const MAX_BODY_BYTES = 1024 * 1024;
const MAX_DROPPED_BYTES = 16 * MAX_BODY_BYTES;

type RequestHook = NonNullable<Plugin['onRequestParse']>;
/** graphql-yoga 5.24.1 does not export this type by its name. */
type RequestParser = Parameters<Parameters<RequestHook>[0]['setRequestParser']>[0];

export interface BodyHooks {
  /** Called with the size of a whole body. */
  beforeDecoding(bytes: number): Promise<void> | undefined;
  /** Called with the JSON text. May throw. */
  beforeParsing(json: string): Promise<void> | undefined;
}

/**
 * Replaces Yoga's parser of a request by one that reads at most `MAX_BODY_BYTES`, as strict UTF-8. Throws a GraphQLError
 * with status 413 for a larger body and 415 for another charset; the parser throws INVALID_INPUT for malformed UTF-8
 * and a body that ends early.
 */
export function limitBody(
  request: Request,
  parse: RequestParser,
  setParser: (parser: RequestParser) => void,
  { beforeDecoding, beforeParsing }: BodyHooks,
): void {
  const type = request.headers.get('content-type') ?? '';
  requireUtf8(type);
  const length = request.headers.get('content-length');
  if (length !== null && Number(length) > MAX_BODY_BYTES) throw bodyTooLargeError();
  if (request.body === null) return;
  setParser(async (unread) => {
    const bytes = length === null ? await readBody(unread) : new Uint8Array(await unread.arrayBuffer());
    if (bytes === undefined) throw bodyTooLargeError();
    await beforeDecoding(bytes.length);
    const text = decodeUtf8(bytes);
    await beforeParsing(isForm(type) ? (new URLSearchParams(text).get('variables') ?? '') : text);
    // Yoga's parsers read nothing else. Constructing a new Request would cost more than reading the body did.
    return parse(
      Object.assign(unread, {
        text: () => Promise.resolve(text),
        json: async () => JSON.parse(text) as unknown,
      }),
    );
  });
}

/**
 * Reads a chunked body; returns undefined if it is larger than `MAX_BODY_BYTES`. Drains up to `MAX_DROPPED_BYTES`, so that
 * the client receives the 413 instead of a connection reset. Throws INVALID_INPUT when the body ends early.
 */
async function readBody(request: Request): Promise<Buffer<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.byteLength;
      if (length > MAX_DROPPED_BYTES) return undefined;
      if (length > MAX_BODY_BYTES) chunks.length = 0;
      else chunks.push(chunk);
    }
  } catch {
    throw new DomainError('INVALID_INPUT', 'The request body is incomplete.');
  }
  return length > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks);
}

const isForm = (type: string): boolean => type.startsWith('application/x-www-form-urlencoded');

/** Throws for a body with another charset: JSON is always UTF-8 (RFC 8259, section 8.1). */
function requireUtf8(contentType: string): void {
  const { charset = 'utf-8' } = parseContentType(contentType).parameters;
  if (!/^['"]?(utf-?8|us-ascii)?['"]?$/i.test(charset))
    throw statusError(415, `The charset ${charset} is not supported. Send UTF-8.`);
}

/** Strips a byte order mark. Throws for malformed UTF-8: replacement characters could be stored. */
function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new DomainError('INVALID_INPUT', 'The request body is not UTF-8.');
  }
}

/** Carries only a status, like Yoga's own errors; `withCodes` adds the code. */
const statusError = (status: number, message: string): GraphQLError =>
  new GraphQLError(message, { extensions: { http: { status } } });

const bodyTooLargeError = (): GraphQLError => statusError(413, 'The body is too large.');
