import {
  createSourceEventStream,
  execute,
  executeSubscriptionEvent,
  getOperationAST,
  NoSchemaIntrospectionCustomRule,
  validate,
  validateSubscriptionArgs,
  visit,
  BREAK,
} from 'graphql';
import type {
  DocumentNode,
  ExecutionArgs,
  ExecutionResult,
  GraphQLError,
  GraphQLSchema,
  ValidatedSubscriptionArgs,
} from 'graphql';
import { retry } from '../../lib/backoff.ts';
import type { Deps } from '../../domain/deps.ts';
import { isOutage, streamEnded, unauthenticated } from '../../errors.ts';
import type { DomainError, EndReason } from '../../errors.ts';
import { createContext, UnmarkedFieldError } from '../../schema/context.ts';
import type { Context } from '../../schema/context.ts';
import { RULES } from '../../schema/rules.ts';
import type { EventStream } from '../../events/stream.ts';
import type { Semaphore } from '../../lib/semaphore.ts';
import { createLruCache } from '../../lib/lru-cache.ts';
import { parseDocument } from './parse-document.ts';
import { causeOf } from './format-error.ts';
import type { FormatError } from './format-error.ts';
import type { FanOut, Receiver, SharedOperation } from './fan-out.ts';
import { withInputField } from './error-field.ts';
import { checkIntrospection } from './introspection-limit.ts';
import { openResults } from './result-stream.ts';
import type { ResultStream } from './result-stream.ts';
import { createSubscriptionKeys } from './subscription-key.ts';

/** In characters of text: a parsed document takes up to 200 times as many bytes, and anybody may send some. */
const MAX_CACHED = 250_000;
const MAX_CACHED_DOCUMENT = 20_000;

export interface EngineOptions {
  readonly schema: GraphQLSchema;
  readonly formatError: FormatError;
  readonly introspection: boolean;
  /** Serves readers of the same operation together; without it each is served alone. */
  readonly fanOut?: FanOut | undefined;
  /** Called when the server has ended a subscription. */
  onStreamEnd(reason: string, context: Context): void;
}

/** What to run. The document has been parsed and validated by this engine, or is one of our own. */
export interface Operation {
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly context: Context;
  /** Where results may be handed over as they come, for many readers at once, instead of by the answered stream. */
  readonly receiver?: Receiver | undefined;
  /** Taken by each result of a subscription from its execution until the next one is asked for, because it has left. */
  readonly semaphore?: Semaphore | undefined;
}

/** The four steps of an operation, shared by every transport. Errors in results are formatted: safe to send. */
export interface Engine {
  readonly schema: GraphQLSchema;
  /** Throws a formatted GraphQLError for text that is no document, or too large a one. */
  parse(text: string): DocumentNode;
  /** Parses a document and keeps it for good: the same text is the same document from then on. */
  keep(text: string): DocumentNode;
  /** Answers formatted errors; none when the document may run. */
  validate(document: DocumentNode): readonly GraphQLError[];
  execute(operation: Operation): Promise<ExecutionResult>;
  /** Answers a result with errors when the subscription could not begin. */
  subscribe(operation: Operation): Promise<ResultStream | ExecutionResult>;
}

export function createEngine(options: EngineOptions): Engine {
  const { schema, formatError, introspection, fanOut } = options;
  const subscriptionKeys = createSubscriptionKeys(schema);
  const documents = createLruCache<DocumentNode>(MAX_CACHED);
  const kept = new Map<string, DocumentNode>();
  const validated = new WeakMap<DocumentNode, readonly GraphQLError[]>();
  const snapshotReads = new WeakMap<DocumentNode, boolean>();
  const rules = introspection ? RULES : [...RULES, NoSchemaIntrospectionCustomRule];

  const formatErrors = (errors: readonly GraphQLError[], document: DocumentNode): GraphQLError[] =>
    errors.map((error) => withInputField(formatError(error), document));
  const formatResult = (result: ExecutionResult, document: DocumentNode): ExecutionResult =>
    result.errors === undefined ? result : { ...result, errors: formatErrors(result.errors, document) };

  const argsOf = ({ document, operationName, variables, context }: Operation): ExecutionArgs => ({
    schema,
    document,
    operationName: operationName ?? null,
    variableValues: variables ?? {},
    contextValue: context,
    hideSuggestions: !introspection,
  });

  const readsSnapshot = (document: DocumentNode): boolean => {
    const known = snapshotReads.get(document);
    if (known !== undefined) return known;
    const selects = selectsEventCursor(document);
    snapshotReads.set(document, selects);
    return selects;
  };

  /** Lets data and an `eventCursor` agree: a mutation enters its snapshot when it has done its work. */
  const inSnapshot = async (
    context: Context,
    mutates: boolean,
    work: () => ExecutionResult | Promise<ExecutionResult>,
  ): Promise<ExecutionResult> => {
    context.usesSnapshot = true;
    try {
      if (!mutates) await context.enterSnapshot();
      return await work();
    } finally {
      await context.leaveSnapshot();
    }
  };

  /** Executes events for many. It outlives the reader who began, and so holds nothing of it. */
  const executeForAll = (
    { contextValue: _caller, ...args }: ValidatedSubscriptionArgs,
    deps: Deps,
    document: DocumentNode,
  ): SharedOperation['execute'] => {
    const settle = (result: ExecutionResult): ExecutionResult => {
      const unmarked = result.errors?.find(
        ({ originalError }) => originalError instanceof UnmarkedFieldError,
      );
      if (unmarked !== undefined) throw unmarked;
      return formatResult(result, document);
    };
    return (rootValue) => {
      const run = () =>
        executeSubscriptionEvent({
          ...args,
          rootValue,
          contextValue: createContext({ deps, session: 'anyone' }),
        });
      const first = run();
      return first instanceof Promise ? executeAvailable(run, first, () => true).then(settle) : settle(first);
    };
  };

  /** How a reader of the subscription is served together with others; undefined when it cannot be. */
  const shareExecution = (
    operation: Operation,
    source: AsyncIterable<unknown>,
    args: ValidatedSubscriptionArgs,
  ): (() => Promise<void>) | undefined => {
    const { receiver, document, context } = operation;
    if (fanOut === undefined || receiver === undefined || !isDurableStream(source)) return undefined;
    const key = subscriptionKeys.keyOf(operation);
    if (key === undefined) return undefined;
    const execute = executeForAll(args, context.deps, document);
    return () => fanOut.run(source, { key, execute }, receiver);
  };

  return {
    schema,

    parse(text) {
      const known = kept.get(text) ?? documents.get(text);
      if (known !== undefined) return known;
      const document = parseDocument(text);
      if (text.length <= MAX_CACHED_DOCUMENT) documents.set(text, document);
      return document;
    },

    keep(text) {
      const document = kept.get(text) ?? parseDocument(text);
      kept.set(text, document);
      return document;
    },

    validate(document) {
      const known = validated.get(document);
      if (known !== undefined) return known;
      const invalid = validate(schema, document, rules, { hideSuggestions: !introspection });
      const bomb = invalid.length === 0 ? checkIntrospection(document) : undefined;
      const errors = bomb === undefined ? formatErrors(invalid, document) : [bomb];
      validated.set(document, errors);
      return errors;
    },

    async execute(operation) {
      const { document, operationName, context } = operation;
      const mutates = getOperationAST(document, operationName)?.operation === 'mutation';
      // What a query would answer is of no use to one who has left; what a mutation does is done whole.
      const abortSignal = mutates ? undefined : context.signal;
      const work = () => execute({ ...argsOf(operation), abortSignal });
      try {
        const result = readsSnapshot(document) ? await inSnapshot(context, mutates, work) : await work();
        return formatResult(result, document);
      } catch (error) {
        return { errors: [formatError(abortSignal?.aborted === true ? left(abortSignal) : error)] };
      }
    },

    async subscribe(operation) {
      const { document, context } = operation;
      const args = validateSubscriptionArgs(argsOf(operation));
      if (!('schema' in args)) return formatResult({ errors: args }, document);
      const source = await createSourceEventStream(args);
      if (!(Symbol.asyncIterator in source)) return formatResult(source, document);
      // Each event gets loaders of its own: what an earlier event had loaded may be out of date.
      const execute = async (rootValue: unknown): Promise<ExecutionResult> => {
        const run = async (): Promise<ExecutionResult> => {
          const contextValue = createContext(context);
          const work = () => executeSubscriptionEvent({ ...args, rootValue, contextValue });
          return readsSnapshot(document) ? inSnapshot(contextValue, false, work) : work();
        };
        const isWanted = () => context.signal?.aborted !== true;
        return formatResult(await executeAvailable(run, run(), isWanted), document);
      };
      return openResults({
        source,
        execute,
        semaphore: operation.semaphore,
        joinGroup: shareExecution(operation, source, args),
        failed(thrown) {
          const error = formatError(thrown);
          const { reason } = error.extensions;
          if (typeof reason === 'string') options.onStreamEnd(reason, context);
          return error;
        },
      });
    },
  };
}

/**
 * Executes an event again until the database is available to it: the reader's cursor is past the event, so a result
 * with errors in the place of its data would lose it.
 */
function executeAvailable(
  run: () => ExecutionResult | Promise<ExecutionResult>,
  first: Promise<ExecutionResult>,
  isWanted: () => boolean,
): Promise<ExecutionResult> {
  let started: Promise<ExecutionResult> | undefined = first;
  const work = async (): Promise<ExecutionResult> => {
    const running = started ?? run();
    started = undefined;
    const result = await running;
    const outage = result.errors?.map(causeOf).find(isOutage);
    if (outage !== undefined) throw outage;
    return result;
  };
  return retry(work, { isRetryable: isOutage, isWanted });
}

const isDurableStream = (source: object): source is EventStream => 'detach' in source;

/** Why an operation was broken off. The client hears it only if the server ended its connection. */
const left = ({ reason }: AbortSignal): DomainError =>
  typeof reason === 'string' ? streamEnded(reason as EndReason) : unauthenticated('The client has left.');

/** Whether data is asked for and the place to subscribe after it: both must be of one moment. */
function selectsEventCursor(document: DocumentNode): boolean {
  let found = false;
  visit(document, {
    Field: (node) => {
      found ||= node.name.value === 'eventCursor';
      return found ? BREAK : undefined;
    },
  });
  return found;
}
