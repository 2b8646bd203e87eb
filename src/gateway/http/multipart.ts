import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import type { BusboyInstance, Dicer } from '@fastify/busboy';
import { DomainError, invalidInput } from '../../errors.ts';
import { mediaTypeOf } from './request-head.ts';
import { readFilename } from './part-filename.ts';
import { decodeField, decodeTransfer } from './transfer-encoding.ts';

const LIMITS = { fields: 10, fieldSize: 128 * 1024, files: 2, parts: 12 };

/** A file that is arriving, and the fields that came before it. */
export interface ArrivingFile {
  /** The name of its part. */
  readonly part: string;
  readonly filename: string;
  readonly content: Readable;
  readonly fields: ReadonlyMap<string, string>;
}

/** The request is well-formed and the file is not in it. */
export class NoFileError extends DomainError {
  constructor() {
    super('INVALID_INPUT', 'There is no such file in the request.', { field: 'file' });
  }
}

export const isMultipart = (request: IncomingMessage): boolean =>
  mediaTypeOf(request) === 'multipart/form-data';

/**
 * Reads a multipart body and hands its file on while it arrives, to the first part for which `take` answers a promise.
 * Resolves with what that resolves with. Rejects when no part is taken, and when the request breaks off: then the
 * content fails too.
 */
export function receiveFile<Result>(
  request: IncomingMessage,
  take: (file: ArrivingFile) => Promise<Result> | undefined,
): Promise<Result> {
  const type = request.headers['content-type'];
  if (type === undefined || !isMultipart(request))
    throw invalidInput('file', 'The body must be multipart/form-data.');
  const parser = createParser(request, type);
  return new Promise((resolve, reject) => {
    const fields = new Map<string, string>();
    let content: Readable | undefined;
    let taken: Promise<Result> | undefined;
    const stop = (error?: Error): void => {
      request.unpipe(parser);
      content?.destroy(error);
    };
    const fail = (error: Error): void => {
      stop(error);
      reject(error);
    };
    const finish = (result: Result): void => {
      // Nobody reads on what was not needed whole, and an unread part would hold up all that comes after it.
      if (content?.readableEnded !== true) stop();
      resolve(result);
    };
    parser.on('field', (name, value, _cutName, _cutValue, encoding) => {
      try {
        fields.set(name, decodeField(value, encoding));
      } catch (error) {
        fail(error instanceof Error ? error : malformed());
      }
    });
    const disposition = followDispositions(parser);
    parser.on('file', (part, arriving, _name, encoding) => {
      // Whoever takes it hears of its failure; here nobody must fall over it.
      arriving.on('error', () => undefined);
      let decoded: Readable = arriving;
      const takeIt = (): Promise<Result> | undefined => {
        decoded = decodeTransfer(arriving, encoding);
        decoded.on('error', () => undefined);
        return take({ part, filename: readFilename(disposition()), content: decoded, fields });
      };
      const result = taken === undefined ? attempt(takeIt) : undefined;
      if (result === undefined) return void decoded.resume();
      content = decoded;
      taken = result;
      result.then(finish, fail);
    });
    parser.once('finish', () => {
      if (taken === undefined) reject(new NoFileError());
    });
    parser.once('error', () => fail(malformed()));
    request.once('close', () => {
      if (!request.complete) fail(invalidInput('file', 'The upload broke off.'));
    });
    request.pipe(parser);
  });
}

function attempt<Result>(take: () => Promise<Result> | undefined): Promise<Result> | undefined {
  try {
    return take();
  } catch (error) {
    return Promise.reject(error instanceof Error ? error : new Error(String(error)));
  }
}

const malformed = (): DomainError => invalidInput('file', 'The multipart body is malformed.');

/** The `Content-Disposition` of the part that has begun last, which Busboy 3.2.6 does not pass on. */
function followDispositions(parser: BusboyInstance): () => string {
  const { _parser } = parser as unknown as { readonly _parser: { readonly parser: Dicer } };
  let disposition = '';
  // Before Busboy's own listener, so that it is known when Busboy announces the file.
  _parser.parser.prependListener('part', (part) =>
    part.once('header', (header: Partial<Record<string, string[]>>) => {
      disposition = header['content-disposition']?.[0] ?? '';
    }),
  );
  return () => disposition;
}

/** A part is a file when it is named as one: old apps send it without a content type. */
function createParser({ headers }: IncomingMessage, type: string) {
  try {
    return new Busboy({
      headers: { ...headers, 'content-type': type },
      preservePath: true,
      limits: LIMITS,
      isPartAFile: (name, _contentType, filename) => name === 'file' || filename !== undefined,
    });
  } catch {
    throw malformed();
  }
}
