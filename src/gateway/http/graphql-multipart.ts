import type { IncomingMessage, ServerResponse } from 'node:http';
import { getOperationAST } from 'graphql';
import type { ExecutionResult } from 'graphql';
import { z } from 'zod';
import { payerOf } from '../../actor.ts';
import { ERROR_CODES, invalidInput } from '../../errors.ts';
import { createContext } from '../../schema/context.ts';
import { codeOf } from '../execution/format-error.ts';
import { rejectWithoutLogin } from '../identity.ts';
import { countParsedBytes, countUpload } from './held-bytes.ts';
import { receiveFile } from './multipart.ts';
import type { IncomingFile } from './multipart.ts';
import { countErrors } from '../count-errors.ts';
import type { GraphqlHttpPorts } from './graphql-ports.ts';
import { requestIdOf } from './operation-origin.ts';
import { drainRequest, sendJson, setRetryAfter } from './respond.ts';

const operationsSchema = z.object({
  query: z.string().nullish(),
  documentId: z.string().nullish(),
  doc_id: z.string().nullish(),
  docId: z.string().nullish(),
  id: z.string().nullish(),
  extensions: z.record(z.string(), z.unknown()).nullish(),
  operationName: z.string().nullish(),
  variables: z.record(z.string(), z.unknown()).nullish(),
});
const mapSchema = z.record(z.string(), z.tuple([z.string().regex(/^variables\.[_A-Za-z]\w*$/)]));

/**
 * Runs one operation with one file, the value of one variable, and sends the result
 * (https://github.com/jaydenseric/graphql-multipart-request-spec). The resolver streams the file while it arrives.
 */
export async function executeMultipart(
  ports: GraphqlHttpPorts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  ports.metrics.operations.inc({ transport: 'http' });
  try {
    const { session = null, ...identity } = await ports.identifyRequest(request);
    const origin = ports.originOf(request);
    const { address } = origin;
    const context = createContext({ deps: ports.deps, session, address, ...identity });
    const onHeld = countUpload(ports.ledgers, response, { account: session?.actor, address });
    const handleFile = async (file: IncomingFile): Promise<ExecutionResult> => {
      for (const name of ['operations', 'map'])
        await countParsedBytes(ports, request, response, file.fields.get(name) ?? '');
      const { operationName, variables, ...documentRequest } = readOperation(file);
      if (documentRequest.query != null && !ports.engine.isCached(documentRequest.query))
        await ports.engine.admitDocument(documentRequest.query, payerOf(session, address));
      const document = ports.engine.parse(ports.documentResolver.resolveText(documentRequest) ?? '');
      const errors = ports.engine.validate(document);
      if (errors.length > 0) return { errors };
      if (getOperationAST(document, operationName)?.operation === 'subscription')
        throw invalidInput('query', 'A subscription cannot take a file.');
      const executed = await ports.engine.execute({
        document,
        operationName,
        variables,
        context,
        origin,
        traceParent: request.headers['traceparent'],
        operationId: requestIdOf(request),
      });
      return rejectWithoutLogin(executed, { document, operationName, context });
    };
    const result = await receiveFile(request, handleFile, onHeld);
    if (!request.complete) drainRequest(request);
    setRetryAfter(response, result.errors);
    countErrors(ports.metrics, 'http', result.errors);
    sendJson(response, statusOf(result), result);
  } catch (thrown) {
    const error = ports.formatError(thrown);
    drainRequest(request);
    setRetryAfter(response, [error]);
    countErrors(ports.metrics, 'http', [error]);
    sendJson(response, ERROR_CODES[codeOf(error) ?? 'INTERNAL'].http, { errors: [error] });
  }
}

/** Without `data` nothing was executed, so the status is that of the error. */
function statusOf({ data, errors }: ExecutionResult): number {
  const [error] = errors ?? [];
  return data !== undefined || error === undefined ? 200 : ERROR_CODES[codeOf(error) ?? 'INTERNAL'].http;
}

function readOperation({ part, filename, content, fields }: IncomingFile) {
  const operation = operationsSchema.safeParse(parseJson(fields.get('operations')));
  const map = mapSchema.safeParse(parseJson(fields.get('map')));
  const path = map.data?.[part]?.[0];
  if (!operation.success || path === undefined) {
    throw invalidInput('file', 'The parts must be `operations`, `map` and one file, in this order.');
  }
  // graphql-js prints the value with `toJSON` in an error message where a file is not expected.
  const value = { filename, content, toJSON: () => filename };
  const variables = { ...operation.data.variables, [path.slice('variables.'.length)]: value };
  return { ...operation.data, variables };
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
