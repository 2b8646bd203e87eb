import type { IncomingMessage, ServerResponse } from 'node:http';
import { create } from 'content-disposition';
import { actorKey } from '../../actor.ts';
import type { ActorRef } from '../../actor.ts';
import type { OpenedMedia } from '../../domain/media-downloads.ts';
import { ERROR_CODES, notFound, unauthenticated } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';
import { parseId } from '../../ids.ts';
import type { MediaId } from '../../ids.ts';
import { KeyedSemaphore } from '../../lib/keyed-semaphore.ts';
import { findTokenInHeaders } from '../bearer-token.ts';
import { codeOf } from '../execution/format-error.ts';
import type { Ports } from '../ports.ts';
import { identify } from '../identity.ts';
import { pathOf, queryOf } from './request-head.ts';
import { contentSecurityPolicy } from './response-headers.ts';
import type { Route } from './router.ts';
import { countUpload } from './held-bytes.ts';
import { NoFileError, receiveFile } from './multipart.ts';
import { drainRequest, sendJson, setRetryAfter } from './respond.ts';
import { sendContent } from './send-content.ts';
import type { FileContent } from './send-content.ts';
import { tusRoute } from './tus.ts';

const UPLOADS = '/media/upload/';
const DOWNLOADS = '/media/';

/** Types that browsers show. Others are attachments: opened as a page, an SVG image would run its scripts in our origin. */
const INLINE_TYPES = /^(image\/(png|jpeg|gif|webp|avif|bmp)|audio\/|video\/|text\/plain\b)/;

type Messages = Partial<Record<ErrorCode, string>>;

/** Legacy apps show these texts to users, so they must stay as they are. */
const LEGACY_MESSAGES: Messages = {
  NOT_FOUND: 'Media introuvable',
  RATE_LIMITED: 'Trop de requetes',
  UNAUTHENTICATED: 'Token invalide, authentifiez vous a nouveau',
};

const UPLOAD_MESSAGES: Messages = {
  ...LEGACY_MESSAGES,
  FORBIDDEN: 'Vous ne pouvez pas upload ce media',
};

/** Concurrent downloads of one account, beyond which they wait: each holds 128 KB while its client does not read. */
const MAX_CONCURRENT_DOWNLOADS = 64;

const NO_FILE_MESSAGE = 'Le media est introuvable dans la requête';

/** Returns the routes for multipart uploads, as legacy apps send them, for resumable ones, and downloads with ranges. */
export function mediaRoutes(ports: Ports): Route[] {
  const downloads = new KeyedSemaphore(MAX_CONCURRENT_DOWNLOADS);
  return [
    {
      path: UPLOADS,
      methods: ['POST'],
      isUpload: () => true,
      handle: (request, response) => upload(ports, request, response),
    },
    tusRoute(ports),
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
    const actor = await requireActor(ports, request);
    const mediaId = requireMediaId(request, UPLOADS);
    await receiveFile(
      request,
      ({ part, filename, content }) =>
        part === 'file' ? ports.uploadMedia(actor, { mediaId, filename, content }) : undefined,
      countUpload(ports.ledgers, response, { account: actor, address: ports.addressOf(request) }),
    );
    sendJson(response, 200, { success: true });
  } catch (error) {
    drainRequest(request);
    sendError(ports, response, error, UPLOAD_MESSAGES);
  }
}

async function download(
  ports: Ports,
  downloads: KeyedSemaphore,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const { reader, open, isByUrl } = await findReader(ports, request);
    const send = isByUrl ? sendOrRedirect : sendMedia;
    response.appendHeader('vary', 'Authorization');
    const isDownload = queryOf(request).has('download');
    await downloads.run(actorKey(reader), async () => {
      if (!response.closed) await send(request, response, await open(), isDownload);
    });
  } catch (error) {
    sendError(ports, response, error, LEGACY_MESSAGES);
  }
}

type Send = (
  request: IncomingMessage,
  response: ServerResponse,
  media: OpenedMedia,
  isDownload: boolean,
) => Promise<void>;

const sendMedia: Send = (request, response, media, isDownload) =>
  sendContent(request, response, contentOf(media, isDownload));

/** Sends the client to the storage, if that serves files itself. Not with a token, which clients might pass on to it. */
const sendOrRedirect: Send = async (request, response, media, isDownload) => {
  const { contentType } = media;
  const disposition = dispositionOf(media, isDownload);
  const location = request.method === 'GET' ? await media.presign({ contentType, disposition }) : undefined;
  if (location === undefined) return sendMedia(request, response, media, isDownload);
  response.writeHead(302, { location }).end();
};

interface Reader {
  readonly reader: ActorRef;
  readonly isByUrl: boolean;
  open(): Promise<OpenedMedia>;
}

/** Finds the account that downloads: by the token in the headers, or by the signature of the URL. */
async function findReader(ports: Ports, request: IncomingMessage): Promise<Reader> {
  const signature = queryOf(request).get('signature');
  const { session, tokenProblem } = await identifyByHeader(ports, request);
  if (session === undefined && signature === null) throw unauthenticated(tokenProblem);
  const mediaId = requireMediaId(request, DOWNLOADS);
  if (session !== undefined)
    return { reader: session.actor, isByUrl: false, open: () => ports.openMedia(session.actor, mediaId) };
  const holder = await ports.requireUrlHolder(mediaId, signature ?? '');
  ports.connectionSlots.identify(request.socket, holder);
  return { reader: holder, isByUrl: true, open: () => ports.openMediaByUrl(holder, mediaId) };
}

async function requireActor(ports: Ports, request: IncomingMessage): Promise<ActorRef> {
  const { session, tokenProblem } = await identifyByHeader(ports, request);
  if (session === undefined) throw unauthenticated(tokenProblem);
  return session.actor;
}

const identifyByHeader = (ports: Ports, request: IncomingMessage) =>
  identify(ports, request, findTokenInHeaders(request), ports.authenticate);

function requireMediaId(request: IncomingMessage, folder: string): MediaId {
  const id = parseId<'Media'>(pathOf(request).slice(folder.length));
  if (id === undefined) throw notFound('The media');
  return id;
}

function sendError(
  { formatError }: Ports,
  response: ServerResponse,
  thrown: unknown,
  messages: Messages,
): void {
  const error = formatError(thrown);
  const code = codeOf(error) ?? 'INTERNAL';
  const [status, message] =
    thrown instanceof NoFileError
      ? [404, NO_FILE_MESSAGE]
      : [ERROR_CODES[code].http, messages[code] ?? error.message];
  if (response.headersSent) return void response.destroy();
  setRetryAfter(response, [error]);
  sendJson(response, status, { success: false, message, ...error.extensions, code });
}

function contentOf(opened: OpenedMedia, isDownload: boolean): FileContent {
  const { media, version, size, contentType, read } = opened;
  return {
    size,
    etag: `"${version}"`,
    modifiedAt: media.uploadedAt === null ? undefined : new Date(media.uploadedAt),
    headers: {
      'content-type': contentType,
      'content-disposition': dispositionOf(opened, isDownload),
      // Caches must revalidate: read access can end at any time.
      'cache-control': 'private, no-cache',
      // With the styles of SVG images.
      'content-security-policy': `sandbox; ${contentSecurityPolicy(["style-src 'unsafe-inline'"])}`,
    },
    read,
  };
}

/** Adds an ASCII fallback for clients that ignore `filename*`, such as `curl -OJ`. */
function dispositionOf({ media, contentType }: OpenedMedia, isDownload: boolean): string {
  const type = INLINE_TYPES.test(contentType) && !isDownload ? 'inline' : 'attachment';
  const name = `${media.filename ?? 'file'}${media.extension ?? ''}`;
  const ascii = name
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^ -~]+/g, '_');
  return create(name.toWellFormed(), /^[ -~]*$/.test(name) ? { type } : { type, fallback: ascii });
}
