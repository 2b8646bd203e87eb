import type { IncomingMessage, ServerResponse } from 'node:http';
import { execute, validate } from 'graphql';
import type { DocumentNode, ExecutionArgs, ExecutionResult, GraphQLError, GraphQLSchema } from 'graphql';
import { createYoga } from 'graphql-yoga';
import type { Plugin } from 'graphql-yoga';
import { isGraphiqlOn } from '../../config.ts';
import type { Config } from '../../config.ts';
import type { Logger } from '../../log.ts';
import type { FormatError } from '../execution/format-error.ts';
import { countErrors } from '../count-errors.ts';
import { parseDocument } from '../execution/parse-document.ts';
import type { Metrics } from '../metrics.ts';
import { acceptsHtml, negotiate } from './content-negotiation.ts';
import { withCodes, withStatus } from './error-status.ts';
import { OPERATOR_QUERY } from './graphiql-default-query.ts';
import { createGraphiqlHandler } from './graphiql.ts';
import { isUnpreflighted, PREFLIGHT_REQUIRED } from './preflight.ts';
import { limitBody } from './request-body.ts';
import { drainRequest, sendHttpError } from './respond.ts';
import { OPERATORS_PAGE } from './static-files.ts';
import type { ServerContext } from './yoga-plugin.ts';

export interface OperatorGraphqlOptions {
  readonly path: string;
  readonly schema: GraphQLSchema;
  readonly contextOf: (request: IncomingMessage) => object;
  readonly formatError: FormatError;
  readonly metrics: Metrics;
  readonly config: Config;
  readonly log: Logger;
}

/**
 * Creates the handler of the operators' GraphQL, over HTTP, with GraphiQL for browsers where it is on. Operators are trusted: none of the
 * budgets of clients applies.
 */
export function createOperatorGraphql(
  options: OperatorGraphqlOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { path, schema, config, log } = options;
  const yoga = createYoga<ServerContext>({
    schema,
    plugins: [createPlugin(options)],
    graphqlEndpoint: path,
    landingPage: false,
    cors: false,
    maskedErrors: false,
    multipart: false,
    maxRequestBodySize: false,
    logging: log,
    graphiql: false,
  });
  const sendGraphiql = isGraphiqlOn(config)
    ? createGraphiqlHandler({
        title: 'Parley: operators',
        endpoint: path,
        defaultQuery: OPERATOR_QUERY,
        accounts: [],
      })
    : undefined;
  return async (request, response) => {
    response.appendHeader('vary', 'Accept, Authorization');
    // Whatever its origin: pages that may use the API of clients are not those of operators.
    const error = isUnpreflighted(request) ? PREFLIGHT_REQUIRED : negotiate(request);
    if (error === undefined && sendGraphiql !== undefined && acceptsHtml(request))
      return sendGraphiql(request, response);
    response.setHeader('cache-control', 'no-store');
    if (error === undefined && acceptsHtml(request))
      return void response.writeHead(303, { location: OPERATORS_PAGE }).end();
    if (error === undefined) return yoga.handle(request, response, { req: request, res: response });
    drainRequest(request);
    sendHttpError(response, error);
  };
}

/** Creates the plugin that limits requests, as for clients, and gives every error its code and counts it. */
function createPlugin({
  contextOf,
  formatError,
  metrics,
}: OperatorGraphqlOptions): Plugin<object, ServerContext> {
  const format = (errors: readonly GraphQLError[]): GraphQLError[] =>
    errors.map((error) => formatError(error));
  return {
    onRequestParse({ request, requestParser, setRequestParser }) {
      if (requestParser === undefined) return;
      limitBody(request, requestParser, setRequestParser, {
        beforeDecoding: () => undefined,
        beforeParsing: () => undefined,
      });
    },
    onParse: ({ setParseFn }) => setParseFn(parseDocument),
    onValidate: ({ setValidationFn }) =>
      setValidationFn((schema: GraphQLSchema, document: DocumentNode) =>
        format(validate(schema, document)).map((error) => withStatus(error)),
      ),
    onExecute: ({ setExecuteFn }) =>
      setExecuteFn(async (args: ExecutionArgs): Promise<ExecutionResult> => {
        const { req } = args.contextValue as ServerContext;
        const result = await execute({ ...args, contextValue: contextOf(req) });
        return result.errors === undefined ? result : { ...result, errors: format(result.errors) };
      }),
    onResultProcess({ result, setResult }) {
      if (Array.isArray(result) || Symbol.asyncIterator in result) return;
      const coded = withCodes(result, formatError, false);
      countErrors(metrics, 'admin', coded.errors);
      setResult(coded);
    },
  };
}
