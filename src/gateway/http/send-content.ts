import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fresh from 'fresh';
import { combineRanges, parse } from 'range-parser';
import type { Range } from 'range-parser';

/** A file as GET and HEAD serve it. */
export interface Content {
  readonly size: number;
  /** Strong: another one for every other content. */
  readonly etag: string;
  readonly modifiedAt?: Date | undefined;
  readonly headers: OutgoingHttpHeaders;
  /** Opens the file, or a part of it. */
  read(range?: Range): Promise<Readable | Buffer>;
}

/**
 * Sends a file whole or the part of it that is asked for, or 304 when the client has it already (RFC 9110, sections 13
 * and 14). Several ranges that do not join into one are answered with the whole file.
 */
export async function sendContent(
  request: IncomingMessage,
  response: ServerResponse,
  content: Content,
): Promise<void> {
  const validators = {
    etag: content.etag,
    'last-modified': content.modifiedAt?.toUTCString(),
  };
  for (const [name, value] of Object.entries({ ...validators, 'accept-ranges': 'bytes' }))
    if (value !== undefined) response.setHeader(name, value);
  const { 'cache-control': caching } = content.headers;
  if (caching !== undefined) response.setHeader('cache-control', caching);
  // Without `Cache-Control: no-cache`, which `fetch` adds to conditions, and which asks caches, not origins, for more.
  const { 'if-none-match': noneMatch, 'if-modified-since': modifiedSince } = request.headers;
  if (fresh({ 'if-none-match': noneMatch, 'if-modified-since': modifiedSince }, validators))
    return void response.writeHead(304).end();
  const range = requestedRange(request, content);
  if (range === 'unsatisfiable')
    return void response.writeHead(416, { 'content-range': `bytes */${content.size}` }).end();
  // Opened first, as what fails then can still be answered.
  const body = request.method === 'HEAD' || content.size === 0 ? Buffer.of() : await content.read(range);
  const { start, end } = range ?? { start: 0, end: content.size - 1 };
  response.writeHead(range === undefined ? 200 : 206, {
    ...content.headers,
    'content-length': end - start + 1,
    ...(range !== undefined && { 'content-range': `bytes ${start}-${end}/${content.size}` }),
  });
  if (Buffer.isBuffer(body)) return void response.end(body);
  // A reader that goes away in the middle is no failure.
  await pipeline(body, response).catch(() => undefined);
}

/** Undefined for the whole file. */
function requestedRange(
  { method, headers }: IncomingMessage,
  { size, etag, modifiedAt }: Content,
): Range | 'unsatisfiable' | undefined {
  if (method !== 'GET' || headers.range === undefined) return undefined;
  if (!isUnchanged(headers['if-range'], etag, modifiedAt)) return undefined;
  const { code, type, ranges } = parse(size, headers.range);
  if (type !== 'bytes' || (code & MALFORMED) !== 0) return undefined;
  if (ranges.length === 0 && code !== 0) return 'unsatisfiable';
  const [range, ...more] = combineRanges(ranges);
  return more.length === 0 ? range : undefined;
}

/** As range-parser marks it. */
const MALFORMED = 1;

/** Whether `If-Range`, a strong tag or a date, lets a part be added to what the client has. */
function isUnchanged(condition: string | string[] | undefined, etag: string, modifiedAt?: Date): boolean {
  if (condition === undefined || condition === etag) return true;
  return modifiedAt !== undefined && condition === modifiedAt.toUTCString();
}
