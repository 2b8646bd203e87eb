import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { OpenedMedia } from '../domain/media.ts';
import { ERROR_CODES, notFound, unauthenticated } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import { parseId } from '../ids.ts';
import { findTokenInHeaders } from './bearer.ts';
import { codeOf } from './errors.ts';
import type { Ports } from './ports.ts';
import { identify } from './identity.ts';
import { pathOf } from './request-head.ts';
import type { Route } from './routes.ts';
import { NoFileError, receiveFile } from './multipart.ts';
import { parseRange } from './range.ts';
import { ignoreRest, sendJson } from './respond.ts';

/** What may be shown in place; everything else is offered as a download, so that it cannot act as a page of ours. */
const SHOWN_IN_PLACE = /^(image\/(png|jpeg|gif|webp|avif|bmp)|audio\/|video\/)/;

/** The old apps show these to people, so they keep the words of their server. */
const LEGACY_MESSAGES: Partial<Record<ErrorCode, string>> = {
  NOT_FOUND: 'Media introuvable',
  FORBIDDEN: 'Vous ne pouvez pas upload ce media',
  UNAUTHENTICATED: 'Token invalide, authentifiez vous a nouveau',
};

const NO_FILE_MESSAGE = 'Le media est introuvable dans la requête';

/** Upload of one file by multipart, as the old apps do it, and download with ranges. */
export function mediaRoutes(ports: Ports): Route[] {
  return [
    {
      path: '/media/upload/',
      methods: ['POST'],
      handle: (request, response) => upload(ports, request, response),
    },
    {
      path: '/media/',
      methods: ['GET', 'HEAD'],
      handle: (request, response) => download(ports, request, response),
    },
  ];
}

async function upload(ports: Ports, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { actor, mediaId } = await subjectOf(ports, request);
    await receiveFile(request, ({ part, filename, content }) =>
      part === 'file' ? ports.uploadMedia(actor, { mediaId, filename, content }) : undefined,
    );
    sendJson(response, 200, { success: true });
  } catch (error) {
    ignoreRest(request);
    refuse(ports, response, error);
  }
}

async function download(ports: Ports, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { actor, mediaId } = await subjectOf(ports, request);
    await sendFile(request, response, await ports.openMedia(actor, mediaId));
  } catch (error) {
    refuse(ports, response, error);
  }
}

async function subjectOf({ authenticate }: Ports, request: IncomingMessage) {
  const { session, refusal } = await identify(findTokenInHeaders(request), authenticate);
  if (session === undefined) throw unauthenticated(refusal);
  const { actor } = session;
  const mediaId = parseId<'Media'>(pathOf(request).split('/').at(-1));
  if (mediaId === undefined) throw notFound('The media');
  return { actor, mediaId };
}

function refuse({ formatError }: Ports, response: ServerResponse, thrown: unknown): void {
  const error = formatError(thrown);
  const code = codeOf(error) ?? 'INTERNAL';
  const [status, message] =
    thrown instanceof NoFileError
      ? [404, NO_FILE_MESSAGE]
      : [ERROR_CODES[code].http, LEGACY_MESSAGES[code] ?? error.message];
  if (response.headersSent) response.destroy();
  else sendJson(response, status, { success: false, message, ...error.extensions, code });
}

async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  opened: OpenedMedia,
): Promise<void> {
  const range = parseRange(request.headers.range, opened.size);
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'content-range': `bytes */${opened.size}` }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: opened.size - 1 };
  const shown = SHOWN_IN_PLACE.test(opened.contentType) ? 'inline' : 'attachment';
  const name = `${opened.media.filename ?? 'file'}${opened.media.extension ?? ''}`;
  response.writeHead(range === undefined ? 200 : 206, {
    'content-type': opened.contentType,
    'content-length': end - start + 1,
    'content-disposition': `${shown}; filename*=UTF-8''${encodeURIComponent(name)}`,
    'accept-ranges': 'bytes',
    'cache-control': 'private, no-cache',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "sandbox; default-src 'none'",
    ...(range === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${opened.size}` }),
  });
  if (request.method === 'HEAD' || opened.size === 0) {
    response.end();
    return;
  }
  const content = await opened.read(range);
  // A reader that goes away in the middle is no failure.
  await pipeline(content, response).catch(() => undefined);
}
