import type { DocumentNode, ExecutionResult, GraphQLSchema, ValidatedSubscriptionArgs } from 'graphql';
import type { EventStream } from '../../events/stream.ts';
import { complexityOf } from '../../schema/complexity.ts';
import { createBatchContexts, MissingPerActorMarkError } from '../../schema/context.ts';
import { EventExecutor } from './event-executor.ts';
import type { FanOut } from './fan-out.ts';
import type { SharedOperation } from './group-execution.ts';
import { executeSubscriptionEvent } from './graphql-executor.ts';
import type { Operation } from './operation.ts';
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
      const { receiver } = operation;
      if (fanOut === undefined || receiver === undefined || !isEventStream(source)) return undefined;
      if (!source.isCaughtUp()) return undefined;
      const key = keys.keyOf(operation);
      if (key === undefined) return undefined;
      const execute = createSharedExecute(args, operation, formatResult);
      return fanOut.run(source, { key, execute }, receiver);
    },
  };
}

/** Executes events for a whole group. It outlives the member that opened the group, so it must not retain its context. */
function createSharedExecute(
  { contextValue: _caller, ...args }: ValidatedSubscriptionArgs,
  { document, variables, context }: Operation,
  formatResult: FormatResult,
): SharedOperation['execute'] {
  const options = { deps: context.deps, session: 'shared' } as const;
  /** Throws if a field read the caller: its result must not be delivered to the group. */
  const requireShareable = (result: ExecutionResult): ExecutionResult => {
    const unmarked = result.errors?.find(
      ({ originalError }) => originalError instanceof MissingPerActorMarkError,
    );
    if (unmarked !== undefined) throw unmarked;
    return formatResult(result, document);
  };
  const executor = new EventExecutor({
    complexity: () => complexityOf(args.schema, document, args.operation, variables ?? {}),
    isWanted: () => true,
    runBatch(start) {
      const contexts = createBatchContexts(options);
      const [first] = start((rootValue) =>
        executeSubscriptionEvent({ ...args, rootValue, contextValue: contexts.next() }),
      );
      return first;
    },
  });
  return (item, listUpcoming) => {
    const result = executor.execute(item, listUpcoming);
    return result instanceof Promise ? result.then(requireShareable) : requireShareable(result);
  };
}

/** Streams of ephemeral items cannot be detached: without a log there is nothing to fall back to. */
export const isEventStream = (source: object): source is EventStream =>
  ('detach' satisfies keyof EventStream) in source;
