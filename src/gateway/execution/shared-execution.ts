import type { DocumentNode, ExecutionResult, GraphQLSchema, ValidatedSubscriptionArgs } from 'graphql';
import type { Deps } from '../../domain/deps.ts';
import type { EventStream } from '../../events/stream.ts';
import { createContext, MissingPerActorMarkError } from '../../schema/context.ts';
import type { FanOut, SharedOperation } from './fan-out.ts';
import { executeSubscriptionEvent } from './graphql-executor.ts';
import type { Operation } from './operation.ts';
import { executeWhenAvailable } from './retry-on-outage.ts';
import { createSubscriptionKeys } from './subscription-key.ts';

type FormatResult = (result: ExecutionResult, document: DocumentNode) => ExecutionResult;

export interface SharedExecution {
  /**
   * Joins a subscription that has caught up to the group of its operation. Resolves when it has left the group. Returns
   * undefined if it did not join, as one whose results cannot be shared.
   */
  join(
    operation: Operation,
    source: AsyncIterable<unknown>,
    args: ValidatedSubscriptionArgs,
  ): Promise<void> | undefined;
}

export function createSharedExecution(
  schema: GraphQLSchema,
  fanOut: FanOut | undefined,
  formatResult: FormatResult,
): SharedExecution {
  const keys = createSubscriptionKeys(schema);
  return {
    join(operation, source, args) {
      const { receiver, document, context } = operation;
      if (fanOut === undefined || receiver === undefined || !isEventStream(source)) return undefined;
      if (!source.isCaughtUp()) return undefined;
      const key = keys.keyOf(operation);
      if (key === undefined) return undefined;
      const execute = createSharedExecute(args, context.deps, document, formatResult);
      return fanOut.run(source, { key, execute }, receiver);
    },
  };
}

/** Executes events for a whole group. It outlives the member that opened the group, so it must not retain its context. */
function createSharedExecute(
  { contextValue: _caller, ...args }: ValidatedSubscriptionArgs,
  deps: Deps,
  document: DocumentNode,
  formatResult: FormatResult,
): SharedOperation['execute'] {
  /** Throws if a field read the caller: its result must not be delivered to the group. */
  const requireShareable = (result: ExecutionResult): ExecutionResult => {
    const unmarked = result.errors?.find(
      ({ originalError }) => originalError instanceof MissingPerActorMarkError,
    );
    if (unmarked !== undefined) throw unmarked;
    return formatResult(result, document);
  };
  return (rootValue) => {
    const execute = () =>
      executeSubscriptionEvent({
        ...args,
        rootValue,
        contextValue: createContext({ deps, session: 'shared' }),
      });
    const first = execute();
    return first instanceof Promise
      ? executeWhenAvailable(execute, first, () => true).then(requireShareable)
      : requireShareable(first);
  };
}

/** Streams of ephemeral items cannot be detached: without a log there is nothing to fall back to. */
const isEventStream = (source: object): source is EventStream =>
  ('detach' satisfies keyof EventStream) in source;
