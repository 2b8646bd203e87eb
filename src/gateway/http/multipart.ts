import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import type { BusboyInstance, Dicer } from '@fastify/busboy';
import { DomainError, invalidInput } from '../../errors.ts';
import { mediaTypeOf } from './request-head.ts';
import { readFilename } from './part-filename.ts';
import { decodeField, decodeTransfer } from './transfer-encoding.ts';

const LIMITS = { fields: 10, fieldSize: 128 * 1024, files: 2, parts: 12 };
/** Most that a request holds before its file: its fields, and the header of a part. */
const MAX_HELD_BYTES = LIMITS.fields * LIMITS.fieldSize + 80 * 1024;

/** A file part whose content is still arriving, and the fields before it. */
export interface IncomingFile {
  /** The `name` of the part. */
  readonly part: string;
  readonly filename: string;
  readonly content: Readable;
  readonly fields: ReadonlyMap<string, string>;
}

/** A well-formed request without the expected file part. */
export class NoFileError extends DomainError {
  constructor() {
    super('INVALID_INPUT', 'The request does not contain the file.', { field: 'file' });
  }
}

export const isMultipart = (request: IncomingMessage): boolean =>
  mediaTypeOf(request) === 'multipart/form-data';

/**
 * Parses a multipart body and passes each file part to `handleFile` until it returns a promise; resolves with its
 * result. The content arrives while `handleFile` reads it. Calls `onHeld` with the bytes that the request holds: until the file
 * part, those that have arrived, and then its fields. Throws `NoFileError` when it handles no part, INVALID_INPUT
 * when the body is malformed or ends early; then the content emits an error too.
 */
export function receiveFile<Result>(
  request: IncomingMessage,
  handleFile: (file: IncomingFile) => Promise<Result> | undefined,
  onHeld: (bytes: number) => void,
): Promise<Result> {
  const type = request.headers['content-type'];
  if (type === undefined || !isMultipart(request))
    throw invalidInput('file', 'The body must be multipart/form-data.');
  const parser = createParser(request, type);
  return new Promise((resolve, reject) => {
    const fields = new Map<string, string>();
    let fieldBytes = 0;
    let heldBytes = 0;
    const countHeld = (chunk: Buffer): void => {
      heldBytes = Math.min(heldBytes + chunk.length, MAX_HELD_BYTES);
      onHeld(heldBytes);
    };
    let content: Readable | undefined;
    let handled: Promise<Result> | undefined;
    const stop = (error?: Error): void => {
      request.off('data', countHeld);
      request.unpipe(parser);
      content?.destroy(error);
    };
    const fail = (error: Error): void => {
      stop(error);
      reject(error);
    };
    const finish = (result: Result): void => {
      // `handleFile` may not have read all content, and an unread part would block the parser.
      if (content?.readableEnded !== true) stop();
      resolve(result);
    };
    parser.on('field', (name, value, _cutName, _cutValue, encoding) => {
      try {
        fields.set(name, decodeField(value, encoding));
        fieldBytes += name.length + value.length;
      } catch (error) {
        fail(error instanceof Error ? error : malformedBodyError());
      }
    });
    const disposition = followDispositions(parser);
    parser.on('file', (part, incoming, _name, encoding) => {
      // The reader receives the error; without a listener here, an unread part would throw.
      incoming.on('error', () => undefined);
      let decoded: Readable = incoming;
      const handleDecoded = (): Promise<Result> | undefined => {
        decoded = decodeTransfer(incoming, encoding);
        decoded.on('error', () => undefined);
        return handleFile({ part, filename: readFilename(disposition()), content: decoded, fields });
      };
      const result = handled === undefined ? attempt(handleDecoded) : undefined;
      if (result === undefined) {
        // Decoding destroys the part when it fails, and the parser would wait for it.
        decoded.once('error', fail);
        decoded.resume();
        return;
      }
      request.off('data', countHeld);
      onHeld(fieldBytes);
      content = decoded;
      handled = result;
      result.then(finish, fail);
    });
    parser.once('finish', () => {
      if (handled === undefined) reject(new NoFileError());
    });
    parser.once('error', () => fail(malformedBodyError()));
    request.once('close', () => {
      if (!request.complete) fail(invalidInput('file', 'The upload is incomplete.'));
    });
    request.on('data', countHeld);
    request.pipe(parser);
  });
}

function attempt<Result>(work: () => Promise<Result> | undefined): Promise<Result> | undefined {
  try {
    return work();
  } catch (error) {
    return Promise.reject(error instanceof Error ? error : new Error(String(error)));
  }
}

const malformedBodyError = (): DomainError => invalidInput('file', 'The multipart body is malformed.');

/** Returns a getter of the newest part's `Content-Disposition`, as @fastify/busboy 3.2.6 exposes only its parsed name. */
function followDispositions(parser: BusboyInstance): () => string {
  const { _parser } = parser as unknown as { readonly _parser: { readonly parser: Dicer } };
  let disposition = '';
  // Prepended to run before Busboy's own listener, which emits `file`.
  _parser.parser.prependListener('part', (part) =>
    part.once('header', (header: Partial<Record<string, string[]>>) => {
      disposition = header['content-disposition']?.[0] ?? '';
    }),
  );
  return () => disposition;
}

/** Recognises files by name: legacy apps send them without a content type. */
function createParser({ headers }: IncomingMessage, type: string) {
  try {
    return new Busboy({
      headers: { ...headers, 'content-type': type },
      preservePath: true,
      limits: LIMITS,
      isPartAFile: (name, _contentType, filename) => name === 'file' || filename !== undefined,
    });
  } catch {
    throw malformedBodyError();
  }
}
