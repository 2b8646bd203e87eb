import type { IncomingMessage } from 'node:http';
import { parse } from 'content-type';
import Negotiator from 'negotiator';
import { mediaTypeOf } from './request-head.ts';
import type { HttpErrorResponse } from './respond.ts';

export const EVENT_STREAM = 'text/event-stream';
const HTML = 'text/html';
const RESULT = 'application/graphql-response+json';
const RESPONSE_TYPES = [RESULT, 'application/json', EVENT_STREAM, 'multipart/mixed', HTML];
const BODY_TYPES = /^application\/(json|.+\+json|graphql|x-www-form-urlencoded)$/;

/**
 * Normalises `Accept` and `Content-Type`, which Yoga compares as text, and turns HEAD into GET. Returns an error (406 or
 * 415) for media types that are not supported.
 */
export function negotiate(request: IncomingMessage): HttpErrorResponse | undefined {
  const { headers, method } = request;
  const negotiator = new Negotiator({
    headers: { accept: headers.accept === undefined ? undefined : normalizeAccept(headers.accept) },
  });
  const preferred = negotiator.mediaType(method === 'POST' ? NOT_HTML : RESPONSE_TYPES);
  if (preferred === undefined) return NOT_ACCEPTABLE;
  if (method === 'POST') {
    const type = mediaTypeOf(request);
    if (!BODY_TYPES.test(type)) return UNSUPPORTED_TYPE;
    if (type.endsWith('+json')) headers['content-type'] = 'application/json';
  }
  if (method === 'HEAD') {
    request.method = 'GET';
    // Never an event stream, which does not end.
    headers.accept = preferred === HTML ? HTML : RESULT;
  } else if (headers.accept !== undefined) {
    // Yoga 5.24.1 takes the first type that it supports, ignoring weights, and HTML at any position.
    const accepted = negotiator.mediaTypes().filter((type) => type !== HTML || preferred === HTML);
    headers.accept = accepted.join(', ');
  }
  return undefined;
}

/** Whether a negotiated request is for a page: a browser opens the address. */
export const acceptsHtml = ({ headers, method }: IncomingMessage): boolean =>
  method === 'GET' && headers.accept?.includes(HTML) === true;

/**
 * Returns the header with no parameters but weights, as ours have no others and would not match. A header without a type
 * counts as none; `*` alone, as Java's HTTP client sends, as any type.
 */
function normalizeAccept(header: string): string {
  const types = header
    .split(',')
    .map((item) => parse(item))
    .map(({ type, parameters }) => ({ type: type === '*' ? '*/*' : type, q: parameters['q'] }))
    .filter(({ type }) => type.includes('/'))
    .map(({ type, q }) => (q === undefined ? type : `${type};q=${q}`));
  return types.length === 0 ? '*/*' : types.join(', ');
}

const NOT_HTML = RESPONSE_TYPES.filter((type) => type !== HTML);

/** Whether a negotiated `Accept` allows an event stream. Null, without the header, allows any type. */
export const acceptsEventStream = (accept: string | null): boolean =>
  new Negotiator({ headers: { accept: accept ?? undefined } }).mediaType([EVENT_STREAM]) !== undefined;

const NOT_ACCEPTABLE: HttpErrorResponse = {
  status: 406,
  code: 'INVALID_INPUT',
  message: `\`Accept\` must name one of ${RESPONSE_TYPES.join(', ')}.`,
};

const UNSUPPORTED_TYPE: HttpErrorResponse = {
  status: 415,
  code: 'INVALID_INPUT',
  message: 'The `Content-Type` must be application/json, or multipart/form-data with a file.',
};
