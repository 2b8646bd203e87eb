import type { IncomingMessage, ServerResponse } from 'node:http';
import { create } from 'content-disposition';
import { actorKey } from '../../actor.ts';
import type { OpenedMedia } from '../../domain/media.ts';
import { ERROR_CODES, notFound, unauthenticated } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';
import { parseId } from '../../ids.ts';
import { KeyedSemaphore } from '../../lib/keyed-semaphore.ts';
import { findTokenInHeaders } from '../bearer-token.ts';
import { codeOf } from '../execution/format-error.ts';
import type { Ports } from '../ports.ts';
import { identify } from '../identity.ts';
import { pathOf } from './request-head.ts';
import { contentSecurityPolicy } from './response-headers.ts';
import type { Route } from './router.ts';
import { countUpload } from './held-bytes.ts';
import { NoFileError, receiveFile } from './multipart.ts';
import { drainRequest, sendJson, setRetryAfter } from './respond.ts';
import { sendContent } from './send-content.ts';
import type { FileContent } from './send-content.ts';

const UPLOADS = '/media/upload/';
const DOWNLOADS = '/media/';

/** Types served inline. Others are attachments, as HTML or SVG would run scripts in our origin. */
const INLINE_TYPES = /^(image\/(png|jpeg|gif|webp|avif|bmp)|audio\/|video\/)/;

/** Legacy apps show these texts to users, so they must stay as they are. */
const LEGACY_MESSAGES: Partial<Record<ErrorCode, string>> = {
  NOT_FOUND: 'Media introuvable',
  FORBIDDEN: 'Vous ne pouvez pas upload ce media',
  RATE_LIMITED: 'Trop de requetes',
  UNAUTHENTICATED: 'Token invalide, authentifiez vous a nouveau',
};

/** Concurrent downloads of one account, beyond which they wait: each holds 128 KB while its client does not read. */
const MAX_CONCURRENT_DOWNLOADS = 64;

const NO_FILE_MESSAGE = 'Le media est introuvable dans la requête';

/** Returns the routes for multipart uploads, as legacy apps send them, and downloads with ranges. */
export function mediaRoutes(ports: Ports): Route[] {
  const downloads = new KeyedSemaphore(MAX_CONCURRENT_DOWNLOADS);
  return [
    {
      path: UPLOADS,
      methods: ['POST'],
      isUpload: () => true,
      handle: (request, response) => upload(ports, request, response),
    },
    {
      path: DOWNLOADS,
      methods: ['GET', 'HEAD'],
      isEmbeddable: true,
      handle: (request, response) => download(ports, downloads, request, response),
    },
  ];
}

async function upload(ports: Ports, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { actor, mediaId } = await readSubject(ports, request, UPLOADS);
    await receiveFile(
      request,
      ({ part, filename, content }) =>
        part === 'file' ? ports.uploadMedia(actor, { mediaId, filename, content }) : undefined,
      countUpload(ports.ledgers, response, { account: actor, address: ports.addressOf(request) }),
    );
    sendJson(response, 200, { success: true });
  } catch (error) {
    drainRequest(request);
    sendError(ports, response, error);
  }
}

async function download(
  ports: Ports,
  downloads: KeyedSemaphore,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const { actor, mediaId } = await readSubject(ports, request, DOWNLOADS);
    response.appendHeader('vary', 'Authorization');
    await downloads.run(actorKey(actor), async () => {
      if (!response.closed)
        await sendContent(request, response, contentOf(await ports.openMedia(actor, mediaId)));
    });
  } catch (error) {
    sendError(ports, response, error);
  }
}

async function readSubject(ports: Ports, request: IncomingMessage, folder: string) {
  const { session, tokenProblem } = await identify(
    ports,
    request,
    findTokenInHeaders(request),
    ports.authenticate,
  );
  if (session === undefined) throw unauthenticated(tokenProblem);
  const { actor } = session;
  const mediaId = parseId<'Media'>(pathOf(request).slice(folder.length));
  if (mediaId === undefined) throw notFound('The media');
  return { actor, mediaId };
}

function sendError({ formatError }: Ports, response: ServerResponse, thrown: unknown): void {
  const error = formatError(thrown);
  const code = codeOf(error) ?? 'INTERNAL';
  const [status, message] =
    thrown instanceof NoFileError
      ? [404, NO_FILE_MESSAGE]
      : [ERROR_CODES[code].http, LEGACY_MESSAGES[code] ?? error.message];
  if (response.headersSent) return void response.destroy();
  setRetryAfter(response, [error]);
  sendJson(response, status, { success: false, message, ...error.extensions, code });
}

function contentOf({ media, version, size, contentType, read }: OpenedMedia): FileContent {
  const type = INLINE_TYPES.test(contentType) ? 'inline' : 'attachment';
  return {
    size,
    etag: `"${version}"`,
    modifiedAt: media.uploadedAt === null ? undefined : new Date(media.uploadedAt),
    headers: {
      'content-type': contentType,
      'content-disposition': dispositionOf(`${media.filename ?? 'file'}${media.extension ?? ''}`, type),
      // Caches must revalidate: read access can end at any time.
      'cache-control': 'private, no-cache',
      'content-security-policy': `sandbox; ${contentSecurityPolicy([])}`,
    },
    read,
  };
}

/** Adds an ASCII fallback for clients that ignore `filename*`, such as `curl -OJ`. */
function dispositionOf(name: string, type: string): string {
  const ascii = name
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^ -~]+/g, '_');
  return create(name.toWellFormed(), /^[ -~]*$/.test(name) ? { type } : { type, fallback: ascii });
}
