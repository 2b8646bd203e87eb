import {
  createSourceEventStream,
  getOperationAST,
  NoSchemaIntrospectionCustomRule,
  validate,
  validateSubscriptionArgs,
} from 'graphql';
import type { DocumentNode, ExecutionArgs, ExecutionResult, GraphQLError, GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Payer } from '../../actor.ts';
import { streamEnded, unauthenticated } from '../../errors.ts';
import type { DomainError, EndReason } from '../../errors.ts';
import type { ListUpcoming } from '../../events/stream.ts';
import { complexityOf } from '../../schema/complexity.ts';
import { createBatchContexts } from '../../schema/context.ts';
import { RULES } from '../../schema/rules.ts';
import type { Tracing } from '../../tracing.ts';
import { withInputField } from './error-field.ts';
import { EventExecutor } from './event-executor.ts';
import type { FanOut } from './fan-out.ts';
import type { FormatError } from './format-error.ts';
import { execute, executeSubscriptionEvent } from './graphql-executor.ts';
import { checkIntrospection } from './introspection-limit.ts';
import type { Operation } from './operation.ts';
import type { OperationLog } from './operation-log.ts';
import type { OperationGate } from './operation-gate.ts';
import { checkOverlap } from './overlap-limit.ts';
import { parseDocument } from './parse-document.ts';
import { runInSpan } from './operation-span.ts';
import { openResults } from './result-stream.ts';
import type { ResultStream, SubscriptionExecution } from './result-stream.ts';
import { createSharedExecution, isEventStream } from './shared-execution.ts';
import { createSnapshotExecution } from './snapshot-execution.ts';

/** Total text of the cached documents. A parsed one takes up to 200 times as many bytes, and any client may send some. */
const MAX_CACHED_CHARACTERS = 250_000;
/** Longer documents are not cached: one could evict many others. */
const MAX_CACHED_DOCUMENT_CHARACTERS = 20_000;

export interface EngineOptions {
  readonly schema: GraphQLSchema;
  readonly formatError: FormatError;
  readonly introspection: boolean;
  /** Groups subscriptions of the same operation; without it each executes its events on its own. */
  readonly fanOut?: FanOut | undefined;
  readonly operationLog?: OperationLog | undefined;
  /** Without it, operations are not traced. */
  readonly tracing?: Tracing | undefined;
  /** Without it, operations have no limits by payer. */
  readonly gate?: OperationGate | undefined;
}

/** The four steps of an operation, shared by every transport. Errors in results are formatted: safe to send. */
export interface Engine {
  readonly schema: GraphQLSchema;
  /** Whether parsing and validating this text costs nothing. */
  isCached(text: string): boolean;
  /** Charges for a document that is not cached, before it is parsed. Throws RATE_LIMITED. */
  admitDocument(text: string, payer: Payer): Promise<void> | undefined;
  /** Throws a formatted GraphQLError for a syntax error and for a document over the limits. */
  parse(text: string): DocumentNode;
  /** Parses a document and caches it permanently, so that the same text always yields the same document. */
  parsePersisted(text: string): DocumentNode;
  /** Returns formatted errors; none when the document may run. */
  validate(document: DocumentNode): readonly GraphQLError[];
  execute(operation: Operation): Promise<ExecutionResult>;
  /** Whether the operation is a send: those that run at the same time share their statements. */
  isBatched(operation: Operation): boolean;
  /** Returns a result with errors when the subscription cannot start. */
  subscribe(operation: Operation): Promise<ResultStream | ExecutionResult>;
}

export function createEngine(options: EngineOptions): Engine {
  const { schema, formatError, introspection, fanOut, operationLog, tracing, gate } = options;
  const documentCache = new LRUCache<string, DocumentNode>({
    maxSize: MAX_CACHED_CHARACTERS,
    sizeCalculation: (_document, text) => text.length,
  });
  const persistedDocuments = new Map<string, DocumentNode>();
  const validationErrors = new WeakMap<DocumentNode, readonly GraphQLError[]>();
  const rules = introspection ? RULES : [...RULES, NoSchemaIntrospectionCustomRule];

  const formatErrors = (
    errors: readonly GraphQLError[],
    document: DocumentNode,
    operation?: Operation,
  ): GraphQLError[] => errors.map((error) => withInputField(formatError(error, operation), document));
  const formatResult = (result: ExecutionResult, operation: Operation): ExecutionResult =>
    result.errors === undefined
      ? result
      : { ...result, errors: formatErrors(result.errors, operation.document, operation) };
  const formatSharedResult = (result: ExecutionResult, document: DocumentNode): ExecutionResult =>
    result.errors === undefined ? result : { ...result, errors: formatErrors(result.errors, document) };

  const snapshots = createSnapshotExecution();
  const sharedExecution = createSharedExecution(schema, fanOut, formatSharedResult);

  const argsOf = (
    { document, operationName, variables, context }: Operation,
    abortSignal?: AbortSignal,
  ): ExecutionArgs => ({
    schema,
    document,
    operationName: operationName ?? null,
    variableValues: variables ?? {},
    contextValue: context,
    hideSuggestions: !introspection,
    abortSignal,
  });

  const validateSubscription = (operation: Operation) => validateSubscriptionArgs(argsOf(operation));

  const executeOperation = async (operation: Operation): Promise<ExecutionResult> => {
    const { document, operationName, context } = operation;
    const mutates = getOperationAST(document, operationName)?.operation === 'mutation';
    // A query is aborted when its client disconnects. A mutation is not: half of it could be stored.
    const abortSignal = mutates ? undefined : context.signal;
    const run = () =>
      snapshots.run(document, context, mutates, () => execute(argsOf(operation, abortSignal)));
    try {
      return formatResult(await (gate === undefined ? run() : gate.run(operation, run)), operation);
    } catch (error) {
      return {
        errors: [formatError(abortSignal?.aborted === true ? abortError(abortSignal) : error, operation)],
      };
    }
  };

  /** Opens the source of a subscription. Checks the variables in there, so that invalid ones are charged. */
  const openSource = async (operation: Operation) => {
    const open = async () => {
      const args = validateSubscription(operation);
      if (!('schema' in args)) return { errors: args };
      const source = await createSourceEventStream(args);
      return Symbol.asyncIterator in source ? { args, source } : source;
    };
    return gate === undefined ? open() : gate.run(operation, open);
  };

  const openSubscription = async (
    operation: Operation,
    startedAt: number,
  ): Promise<ResultStream | ExecutionResult> => {
    gate?.openSubscription(operation);
    let isOpen = false;
    try {
      const opened = await openSource(operation);
      if (!('source' in opened)) return formatResult(opened, operation);
      operation.onAccepted?.();
      operationLog?.streamOpened(operation, topicOf(opened.source), startedAt);
      const results = openResults(subscriptions, { operation, ...opened });
      isOpen = true;
      return results;
    } finally {
      if (!isOpen) gate?.closeSubscription(operation);
    }
  };

  const subscriptions: SubscriptionExecution = {
    createExecute(operation, source, args) {
      const { document, variables, context } = operation;
      const listUpcoming: ListUpcoming = (limit) => (isEventStream(source) ? source.listUpcoming(limit) : []);
      const executor = new EventExecutor({
        complexity: () => complexityOf(schema, document, args.operation, variables ?? {}),
        isWanted: () => context.signal?.aborted !== true,
        async runBatch(start) {
          const run = () => {
            // Loaders per batch: rows that an earlier one loaded may be stale.
            const contexts = createBatchContexts(context);
            return snapshots.run(document, contexts.first, false, () => {
              const results = start((rootValue) =>
                executeSubscriptionEvent({ ...args, rootValue, contextValue: contexts.next() }),
              );
              // A snapshot is open until all have read from it.
              return contexts.first.usesSnapshot ? firstWhenAllSettled(results) : results[0];
            });
          };
          return gate === undefined ? run() : gate.runEvent(operation, run);
        },
      });
      return async (event) => formatResult(await executor.execute(event, listUpcoming), operation);
    },
    join: (...subscription) => sharedExecution.join(...subscription),
    argsOf(operation) {
      const args = validateSubscription(operation);
      if (!('schema' in args)) throw new Error('The arguments of an open subscription are invalid');
      return args;
    },
    formatError: (error, operation) => formatError(error, operation),
    onEnd(operation, source, error) {
      gate?.closeSubscription(operation);
      operationLog?.streamEnded(operation, topicOf(source), error);
    },
  };

  const executeAndLog = async (operation: Operation): Promise<ExecutionResult> => {
    if (operation.origin === undefined) return executeOperation(operation);
    const startedAt = performance.now();
    const result = await executeOperation(operation);
    operationLog?.operationEnded(operation, result.errors, startedAt);
    return result;
  };

  const subscribeAndLog = async (operation: Operation): Promise<ResultStream | ExecutionResult> => {
    const startedAt = performance.now();
    const opened = await openSubscription(operation, startedAt).catch((error: unknown): ExecutionResult => ({
      errors: [formatError(error, operation)],
    }));
    if (!(Symbol.asyncIterator in opened)) operationLog?.operationEnded(operation, opened.errors, startedAt);
    return opened;
  };

  const validateDocument = (document: DocumentNode): readonly GraphQLError[] => {
    const tooRepetitive = checkOverlap(document);
    if (tooRepetitive !== undefined) return [tooRepetitive];
    const invalid = validate(schema, document, rules, { hideSuggestions: !introspection });
    const tooCostly = invalid.length === 0 ? checkIntrospection(document) : undefined;
    return tooCostly === undefined ? formatErrors(invalid, document) : [tooCostly];
  };

  return {
    schema,

    isCached: (text) => persistedDocuments.has(text) || documentCache.has(text),

    admitDocument: (text, payer) => gate?.admitDocument(text, payer),

    parse(text) {
      const known = persistedDocuments.get(text) ?? documentCache.get(text);
      if (known !== undefined) return known;
      const document = parseDocument(text);
      if (text.length <= MAX_CACHED_DOCUMENT_CHARACTERS) documentCache.set(text, document);
      return document;
    },

    parsePersisted(text) {
      const document = persistedDocuments.get(text) ?? parseDocument(text);
      persistedDocuments.set(text, document);
      return document;
    },

    validate(document) {
      const known = validationErrors.get(document);
      if (known !== undefined) return known;
      const errors = validateDocument(document);
      validationErrors.set(document, errors);
      return errors;
    },

    execute(operation) {
      const run = () => executeAndLog(operation);
      return tracing === undefined ? run() : runInSpan(tracing, operation, run);
    },

    isBatched: (operation) => gate?.isBatched(operation) ?? false,

    subscribe(operation) {
      const run = () => subscribeAndLog(operation);
      return tracing === undefined ? run() : runInSpan(tracing, operation, run);
    },
  };
}

/** The client receives it only if the server ended the connection, with an `EndReason`. */
const abortError = ({ reason }: AbortSignal): DomainError =>
  typeof reason === 'string'
    ? streamEnded(reason as EndReason)
    : unauthenticated('The client has disconnected.');

async function firstWhenAllSettled<Result>(
  results: readonly [Result | Promise<Result>, ...Promise<Result>[]],
): Promise<Result> {
  await Promise.allSettled(results.map(async (result) => result));
  return results[0];
}

const topicOf = (source: object): string | undefined =>
  'topic' in source && typeof source.topic === 'string' ? source.topic : undefined;
