import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { getOperationAST } from 'graphql';
import type { ExecutionResult } from 'graphql';
import { MIN_COUNTED_BYTES } from '../../lib/byte-ledger.ts';
import { MAX_JSON_DEPTH, measureJson } from '../../lib/json-weight.ts';
import { CONNECTION_CLOSED } from '../connection-closed.ts';
import { executeRequest } from './execute-request.ts';
import type { RequestedOperation } from './execute-request.ts';
import type { GraphqlHttpPorts } from './graphql-ports.ts';
import { pathOf } from './request-head.ts';

/**
 * The common form of a request: a query or mutation with a known document, as a small JSON body, whose result has no errors. It
 * is executed without Yoga, which would cost as much CPU time as a small operation. Yoga handles all other requests, and encodes
 * all errors.
 */
export interface JsonPosts {
  /** Whether the head of the request is of the common form. */
  accepts(request: IncomingMessage): boolean;
  /** Returns false if Yoga has to respond. The body of the request is then a property of it, where Yoga finds it. */
  receive(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
  /** Returns the result of a request that was executed, and is left to Yoga because it has errors. */
  takeResult(request: IncomingMessage): ExecutionResult | undefined;
}

const JSON_TYPE = 'application/json';
const RESULT_TYPE = 'application/graphql-response+json';

/** The types of the responses to common values of `Accept`, which are without spaces. */
const RESPONSE_TYPES = new Map([
  ['', JSON_TYPE],
  ['*/*', JSON_TYPE],
  [JSON_TYPE, JSON_TYPE],
  [RESULT_TYPE, RESULT_TYPE],
  // Apollo Client 4, graphql-request
  [`${RESULT_TYPE},${JSON_TYPE};q=0.9`, RESULT_TYPE],
  [`${RESULT_TYPE},${JSON_TYPE}`, RESULT_TYPE],
  // urql
  [`${RESULT_TYPE},application/graphql+json,${JSON_TYPE},text/event-stream,multipart/mixed`, RESULT_TYPE],
  // Axios
  [`${JSON_TYPE},text/plain,*/*`, JSON_TYPE],
]);

const responseTypeOf = ({ headers: { accept = '' } }: IncomingMessage): string | undefined =>
  RESPONSE_TYPES.get(accept.replaceAll(' ', ''));

const REQUEST_TYPES: ReadonlySet<string | undefined> = new Set([JSON_TYPE, `${JSON_TYPE}; charset=utf-8`]);

export function createJsonPosts(ports: GraphqlHttpPorts): JsonPosts {
  const { documentResolver, engine } = ports;
  const results = new WeakMap<IncomingMessage, ExecutionResult>();

  /** Returns undefined for parameters that Yoga has to check, and for a document that is unknown or invalid. */
  const readOperation = (body: Buffer): RequestedOperation | undefined => {
    const parameters = readParameters(body);
    if (parameters === undefined || !engine.isCached(parameters.query)) return undefined;
    const { operationName, variables } = parameters;
    try {
      const document = engine.parse(documentResolver.resolveText({ query: parameters.query }) ?? '');
      const kind = getOperationAST(document, operationName)?.operation;
      const isCommon = (kind === 'query' || kind === 'mutation') && engine.validate(document).length === 0;
      return isCommon ? { document, operationName, variables } : undefined;
    } catch {
      return undefined;
    }
  };

  return {
    accepts: (request) =>
      request.method === 'POST' &&
      pathOf(request) === '/graphql' &&
      REQUEST_TYPES.has(request.headers['content-type']) &&
      responseTypeOf(request) !== undefined &&
      isSmall(request.headers['content-length']),
    async receive(request, response) {
      const body = await readBody(request);
      if (body === undefined) return true;
      const operation = readOperation(body);
      if (operation === undefined) {
        Object.assign(request, { body });
        return false;
      }
      const controller = new AbortController();
      response.once('close', () => {
        if (!response.writableFinished) controller.abort(CONNECTION_CLOSED);
      });
      const result = await executeRequest(ports, operation, request, controller.signal);
      if (result.errors !== undefined) {
        results.set(request, result);
        Object.assign(request, { body });
        return false;
      }
      if (!response.closed) sendResult(response, result);
      return true;
    },
    takeResult: (request) => results.get(request),
  };
}

const isSmall = (length: string | undefined): boolean => {
  const bytes = Number(length);
  return bytes > 0 && bytes < MIN_COUNTED_BYTES;
};

/** Returns undefined if the request ends early. */
function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('close', () => resolve(undefined));
  });
}

interface Parameters extends Pick<RequestedOperation, 'operationName' | 'variables'> {
  readonly query: string;
}

/** Returns undefined for anything but the three parameters of the common form. */
function readParameters(body: Buffer): Parameters | undefined {
  if (!isUtf8(body)) return undefined;
  const text = body.toString();
  const { depth, overheadBytes } = measureJson(text);
  if (depth > MAX_JSON_DEPTH || overheadBytes >= MIN_COUNTED_BYTES) return undefined;
  const parameters = parseJson(text);
  if (!isObject(parameters)) return undefined;
  const { query, operationName, variables, ...others } = parameters;
  return typeof query === 'string' &&
    (operationName == null || typeof operationName === 'string') &&
    (variables == null || isObject(variables)) &&
    Object.keys(others).length === 0
    ? { query, operationName, variables }
    : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function sendResult(response: ServerResponse, result: ExecutionResult): void {
  const text = JSON.stringify(result);
  response.writeHead(200, {
    'Content-Type': `${responseTypeOf(response.req) ?? JSON_TYPE}; charset=utf-8`,
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
