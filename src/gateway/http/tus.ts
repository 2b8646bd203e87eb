import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import type { Readable } from 'node:stream';
import { payerOf } from '../../actor.ts';
import type { ActorRef } from '../../actor.ts';
import type { ResumableUpload } from '../../domain/resumable-uploads.ts';
import { DomainError, ERROR_CODES, invalidInput, notFound, unauthenticated } from '../../errors.ts';
import { findTokenInHeaders } from '../bearer-token.ts';
import { codeOf } from '../execution/format-error.ts';
import { identify } from '../identity.ts';
import type { Ports } from '../ports.ts';
import { mediaTypeOf, pathOf } from './request-head.ts';
import { drainRequest, sendHttpError } from './respond.ts';
import { setHeaders } from './response-headers.ts';
import type { Route } from './router.ts';

const PATH = '/media/resumable/';
const VERSION = '1.0.0';
const PIECE_TYPE = 'application/offset+octet-stream';
/** About as many statements as a request runs. */
const POINTS_PER_REQUEST = 10;
const METHODS = ['POST', 'HEAD', 'PATCH', 'DELETE'];
/** Headers of responses that scripts of other origins may read. */
const EXPOSED_HEADERS = [
  'location',
  'tus-extension',
  'tus-max-size',
  'tus-resumable',
  'tus-version',
  'upload-expires',
  'upload-length',
  'upload-metadata',
  'upload-offset',
].join(', ');

/** Returns the route for uploads that resume where their connection was cut: tus 1.0, https://tus.io/protocols/resumable-upload. */
export function tusRoute(ports: Ports): Route {
  return {
    path: PATH,
    methods: METHODS,
    isUpload: () => true,
    optionsHeaders: {
      'tus-resumable': VERSION,
      'tus-version': VERSION,
      'tus-extension': 'creation,creation-with-upload,expiration,termination',
      'tus-max-size': String(ports.deps.config.MAX_UPLOAD_BYTES),
    },
    async handle(request, response) {
      response.setHeader('tus-resumable', VERSION);
      response.appendHeader('access-control-expose-headers', EXPOSED_HEADERS);
      try {
        if (request.headers['tus-resumable'] !== VERSION) throw new VersionError();
        await respond(ports, request, response);
      } catch (error) {
        drainRequest(request);
        sendError(ports, response, error);
      }
    },
  };
}

async function respond(ports: Ports, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const actor = await requireActor(ports, request);
  const id = pathOf(request).slice(PATH.length);
  const method = methodOf(request);
  if (method === 'POST') return create(ports, actor, request, response, id);
  if (id === '') throw notFound('The upload');
  const { find, append, remove } = ports.resumableUploads;
  switch (method) {
    case 'HEAD': {
      const upload = await find(actor, id);
      setHeaders(response, { 'upload-length': String(upload.size), 'upload-metadata': upload.metadata });
      return sendState(response, 200, upload);
    }
    case 'PATCH': {
      requirePieceType(request);
      const offset = requireBytes(request, 'upload-offset');
      return sendState(
        response,
        204,
        await receive(request, (content) => append(actor, id, { offset, content })),
      );
    }
    case 'DELETE':
      await remove(actor, id);
      return void response.writeHead(204).end();
    default:
      throw invalidInput('X-HTTP-Method-Override', `Use ${METHODS.join(', ')}.`);
  }
}

async function create(
  ports: Ports,
  actor: ActorRef,
  request: IncomingMessage,
  response: ServerResponse,
  id: string,
): Promise<void> {
  if (id !== '') throw notFound('The resource');
  const { start, append } = ports.resumableUploads;
  const metadata = headerOf(request, 'upload-metadata') ?? '';
  const upload = await start(actor, { metadata, size: requireBytes(request, 'upload-length') });
  // A client that loses the connection before the response starts again.
  response.setHeader('location', PATH + upload.storageName);
  const hasContent = mediaTypeOf(request) === PIECE_TYPE && !upload.isFinished;
  if (!hasContent) return sendState(response, 201, upload);
  const received = await receive(request, (content) =>
    append(actor, upload.storageName, { offset: 0, content }),
  );
  return sendState(response, 201, received);
}

function sendState(response: ServerResponse, status: number, upload: ResumableUpload): void {
  response
    .writeHead(status, {
      'upload-offset': upload.received,
      'upload-expires': new Date(upload.expiresAt).toUTCString(),
      'cache-control': 'no-store',
    })
    .end();
}

/** Clients that can send neither PATCH nor DELETE name the method in a header. */
const methodOf = (request: IncomingMessage): string =>
  headerOf(request, 'x-http-method-override')?.toUpperCase() ?? request.method ?? '';

const headerOf = ({ headers }: IncomingMessage, name: string): string | undefined =>
  headers[name]?.toString();

function requireBytes(request: IncomingMessage, name: string): number {
  const value = headerOf(request, name) ?? '';
  const bytes = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(bytes))
    throw invalidInput(name, `The header ${name} must be a number of bytes.`);
  return bytes;
}

function requirePieceType(request: IncomingMessage): void {
  if (mediaTypeOf(request) !== PIECE_TYPE) throw new PieceTypeError();
}

/** Finds the caller, and charges for the request. Throws UNAUTHENTICATED, RATE_LIMITED. */
async function requireActor(ports: Ports, request: IncomingMessage): Promise<ActorRef> {
  const token = findTokenInHeaders(request);
  const { session, tokenProblem } = await identify(ports, request, token, ports.authenticate);
  if (session === undefined) throw unauthenticated(tokenProblem);
  const { operationLimits: limits } = ports.deps;
  const payer = payerOf(session, ports.addressOf(request));
  await limits.slowly(() => limits.charge(payer, POINTS_PER_REQUEST));
  return session.actor;
}

/** Passes the body of a request to `work`. It ends early if the connection does: what has arrived counts. */
async function receive<Result>(
  request: IncomingMessage,
  work: (content: Readable) => Promise<Result>,
): Promise<Result> {
  // A stream of its own, as its reader may destroy it, and the request must still have a response.
  const content = new PassThrough();
  const end = (): void => {
    if (!content.writableEnded) content.end();
  };
  request.on('error', end);
  request.once('close', end);
  request.pipe(content);
  // It may have closed while the caller was found.
  if (request.destroyed) end();
  try {
    return await work(content);
  } finally {
    request.unpipe(content);
    content.destroy();
  }
}

class VersionError extends DomainError {
  constructor() {
    super('INVALID_INPUT', `The header Tus-Resumable must be ${VERSION}.`, { field: 'Tus-Resumable' });
  }
}

class PieceTypeError extends DomainError {
  constructor() {
    super('INVALID_INPUT', `The type of the body must be ${PIECE_TYPE}.`, { field: 'Content-Type' });
  }
}

function sendError({ formatError }: Ports, response: ServerResponse, thrown: unknown): void {
  const error = formatError(thrown);
  const code = codeOf(error) ?? 'INTERNAL';
  const { retryAfterMs } = error.extensions;
  if (response.headersSent || isTooSlow(thrown)) return void response.destroy();
  response.removeHeader('location');
  sendHttpError(response, {
    status: statusOf(thrown) ?? ERROR_CODES[code].http,
    code,
    message: error.message,
    ...(typeof retryAfterMs === 'number' && { retryAfterMs }),
    ...(thrown instanceof VersionError && { headers: { 'tus-version': VERSION } }),
  });
}

/** Clients resume after a connection that ends, but give up at an error of theirs. */
const isTooSlow = (thrown: unknown): boolean =>
  thrown instanceof DomainError && thrown.details.limit?.startsWith('upload ') === true;

/** Returns the status that the protocol has for some errors. */
function statusOf(thrown: unknown): number | undefined {
  if (thrown instanceof VersionError) return 412;
  if (thrown instanceof PieceTypeError) return 415;
  const isTooLarge = thrown instanceof DomainError && thrown.details.limit === 'MAX_UPLOAD_BYTES';
  return isTooLarge ? 413 : undefined;
}
