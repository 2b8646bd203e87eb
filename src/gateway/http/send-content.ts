import { createHash } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fresh from 'fresh';
import { combineRanges, parse } from 'range-parser';
import type { Range } from 'range-parser';

/** A file to serve for GET and HEAD. */
export interface FileContent {
  readonly size: number;
  /** Strong: differs for every other content. */
  readonly etag: string;
  readonly modifiedAt?: Date | undefined;
  readonly headers: OutgoingHttpHeaders;
  /** Opens the file, or the bytes of a range. */
  read(range?: Range): Promise<Readable | Buffer>;
}

/** Creates the content of a buffer, with its hash as the entity tag. */
export const createBufferContent = (body: Buffer, headers: OutgoingHttpHeaders): FileContent => ({
  size: body.length,
  etag: `"${createHash('sha256').update(body).digest('base64url')}"`,
  headers,
  read: async (range) => (range === undefined ? body : body.subarray(range.start, range.end + 1)),
});

/**
 * Sends a file, one range of it, or 304 when the client's copy is current (RFC 9110, sections 13 and 14). Sends the whole
 * file for several ranges that do not combine into one.
 */
export async function sendContent(
  request: IncomingMessage,
  response: ServerResponse,
  content: FileContent,
): Promise<void> {
  const validators = {
    etag: content.etag,
    'last-modified': content.modifiedAt?.toUTCString(),
  };
  for (const [name, value] of Object.entries({ ...validators, 'accept-ranges': 'bytes' }))
    if (value !== undefined) response.setHeader(name, value);
  // Also with 304, whose headers replace those of the client's copy.
  for (const name of ['cache-control', 'content-security-policy']) {
    const value = content.headers[name];
    if (value !== undefined) response.setHeader(name, value);
  }
  // The request's `Cache-Control: no-cache` is left out: `fetch` adds it to conditions, and `fresh` would never match.
  const { 'if-none-match': noneMatch, 'if-modified-since': modifiedSince } = request.headers;
  if (fresh({ 'if-none-match': noneMatch, 'if-modified-since': modifiedSince }, validators))
    return void response.writeHead(304).end();
  const range = requestedRange(request, content);
  if (range === 'unsatisfiable')
    return void response.writeHead(416, { 'content-range': `bytes */${content.size}` }).end();
  // Opened before the head is sent, so that a failure can still be sent as an error.
  const body = request.method === 'HEAD' || content.size === 0 ? Buffer.of() : await content.read(range);
  // `pipeline` would neither read nor close the file.
  if (response.closed) return void (Buffer.isBuffer(body) || body.destroy());
  const { start, end } = range ?? { start: 0, end: content.size - 1 };
  response.writeHead(range === undefined ? 200 : 206, {
    ...content.headers,
    'content-length': end - start + 1,
    ...(range !== undefined && { 'content-range': `bytes ${start}-${end}/${content.size}` }),
  });
  if (Buffer.isBuffer(body)) return void response.end(body);
  // Rejects when the client disconnects, which is not an error.
  await pipeline(body, response).catch(() => undefined);
}

/** Returns undefined for the whole file. */
function requestedRange(
  { method, headers }: IncomingMessage,
  { size, etag, modifiedAt }: FileContent,
): Range | 'unsatisfiable' | undefined {
  if (method !== 'GET' || headers.range === undefined) return undefined;
  if (!matchesIfRange(headers['if-range'], etag, modifiedAt)) return undefined;
  const { code, type, ranges } = parse(size, headers.range);
  if (type !== 'bytes' || (code & MALFORMED) !== 0) return undefined;
  if (ranges.length === 0 && code !== 0) return 'unsatisfiable';
  const [range, ...more] = combineRanges(ranges);
  return more.length === 0 ? range : undefined;
}

/** A flag in the `code` of range-parser. */
const MALFORMED = 1;

/** Whether `If-Range`, an entity tag or a date, matches the file. True without the header. */
function matchesIfRange(condition: string | string[] | undefined, etag: string, modifiedAt?: Date): boolean {
  if (condition === undefined || condition === etag) return true;
  return modifiedAt !== undefined && condition === modifiedAt.toUTCString();
}
