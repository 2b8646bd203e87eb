import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { GraphQLError } from 'graphql';
import type { Session } from '../../actor.ts';
import type { Deps } from '../../domain/deps.ts';
import { createContext } from '../../schema/context.ts';
import type { Engine } from './engine.ts';

export interface ExecutorResult<Data> {
  readonly data?: Data | null;
  /** Formatted: `extensions.code` is one of `ERROR_CODES`. */
  readonly errors?: readonly GraphQLError[] | undefined;
}

/** The caller of an operation in process. */
export interface ExecutorCaller {
  readonly session: Session | null;
  /** The address of the client. */
  readonly address: string;
  /** The id of its connection. */
  readonly connection: string;
}

/** Runs typed operations in process, with the permissions of a session. The bridge accesses the schema only through it. */
export interface Executor {
  execute<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    caller: ExecutorCaller,
  ): Promise<ExecutorResult<Data>>;
}

export function createExecutor(deps: Deps, engine: Engine): Executor {
  return {
    async execute<Data>(
      document: TypedDocumentNode<Data, never>,
      variables: Record<string, unknown>,
      { session, address, connection }: ExecutorCaller,
    ) {
      const { data, errors } = await engine.execute({
        document,
        variables,
        legacyConnection: connection,
        context: createContext({ deps, session, address, legacy: true }),
      });
      return { data, errors };
    },
  } as Executor;
}
