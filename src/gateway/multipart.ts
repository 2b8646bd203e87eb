import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import type { BusboyFileStream } from '@fastify/busboy';
import { DomainError, invalidInput } from '../errors.ts';
import { mediaTypeOf } from './request-head.ts';

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
    let content: BusboyFileStream | undefined;
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
    parser.on('field', (name, value) => fields.set(name, value));
    parser.on('file', (part, arriving, given: string | undefined) => {
      // Busboy's types have it that a file always has a name.
      const filename = given ?? '';
      // Whoever takes it hears of its failure; here nobody must fall over it.
      arriving.on('error', () => undefined);
      const result =
        taken === undefined ? attempt(() => take({ part, filename, content: arriving, fields })) : undefined;
      if (result === undefined) return void arriving.resume();
      content = arriving;
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
