import SchemaBuilder from '@pothos/core';
import type { PothosOutputFieldConfig, SchemaTypes } from '@pothos/core';
import { complexityFromQuery, PothosComplexityPlugin } from '@pothos/plugin-complexity';
import type { ComplexityErrorFn } from '@pothos/plugin-complexity';
import { Kind } from 'graphql';
import type {
  DocumentNode,
  GraphQLFieldResolver,
  GraphQLResolveInfo,
  GraphQLSchema,
  OperationDefinitionNode,
} from 'graphql';
import { DomainError } from '../errors.ts';

export const MAX_COMPLEXITY = 400_000;
export const MAX_DEPTH = 16;
/** Estimated length of a plain list. */
export const DEFAULT_LIST_SIZE = 4;
/** Cost of a message text, in fields: it may have thousands of characters. */
export const LONG_TEXT_COST = 25;
/** Maximum total length of the message texts and previews in one response, in UTF-16 code units. */
export const MAX_TEXT_LENGTH = 4_000_000;
/** Cost of an SQL statement, in fields, where one field runs several: statements of other operations queue behind them. */
export const STATEMENT_COST = 1_000;

/** Cost of a password hash (about 0.1 s of CPU), in fields: at most ten per document. */
export const PASSWORD_COST = 40_000;

/** Plugin name. Pothos types builder options by plugin name; the cast gives this plugin those of the one it extends. */
export const LIMITS = 'limits' as 'complexity';

type Resolver<Types extends SchemaTypes> = GraphQLFieldResolver<unknown, Types['Context'], object>;

/**
 * Checks the complexity of a subscription once, when it starts: the plugin of @pothos/plugin-complexity 4 checks in the
 * resolver, which runs for each event. Computes that of an operation once for all its executions, unless it depends on variables.
 */
class LimitsPlugin<Types extends SchemaTypes> extends PothosComplexityPlugin<Types> {
  /** Operations within the limits, whatever the values of their variables. */
  readonly #accepted = new WeakSet<OperationDefinitionNode>();

  override wrapResolve(resolve: Resolver<Types>, field: PothosOutputFieldConfig<Types>): Resolver<Types> {
    return field.kind === 'Subscription' ? resolve : super.wrapResolve(resolve, field);
  }

  override wrapSubscribe(subscribe: Resolver<Types> | undefined): Resolver<Types> | undefined {
    if (subscribe === undefined) return undefined;
    return (parent, args, context, info) => {
      this.checkComplexity(context, info);
      return subscribe(parent, args, context, info);
    };
  }

  override checkComplexity(context: Types['Context'], info: GraphQLResolveInfo): void {
    const { operation } = info;
    if (this.#accepted.has(operation)) return;
    let readsVariables = false;
    const variableValues = watchReads(info.variableValues, () => (readsVariables = true));
    super.checkComplexity(context, { ...info, variableValues });
    if (!readsVariables) this.#accepted.add(operation);
  }

  override afterBuild(schema: GraphQLSchema): GraphQLSchema {
    const check: CheckComplexity = (context, info) => this.checkComplexity(context, info);
    schema.extensions = { ...schema.extensions, [COMPLEXITY_CHECK]: check };
    return schema;
  }
}

type VariableValues = GraphQLResolveInfo['variableValues'];

const watchReads = ({ coerced, sources }: VariableValues, onRead: () => void): VariableValues => ({
  get coerced() {
    onRead();
    return coerced;
  },
  get sources() {
    onRead();
    return sources;
  },
});

const COMPLEXITY_CHECK = 'complexityCheck';

/** Throws LIMIT_EXCEEDED for an operation over the limits. Each operation is checked once. */
type CheckComplexity = (context: object, info: GraphQLResolveInfo) => void;

/** Returns the check that the root fields of the schema run. */
export function findComplexityCheck({ extensions }: GraphQLSchema): CheckComplexity {
  return extensions[COMPLEXITY_CHECK] as CheckComplexity;
}

SchemaBuilder.registerPlugin(LIMITS, LimitsPlugin);

/** Returns the greatest number of fields of a result. */
export function complexityOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): number {
  // The function counts the first operation of a document.
  const definitions = document.definitions.filter(
    (definition) => definition.kind !== Kind.OPERATION_DEFINITION || definition === operation,
  );
  return complexityFromQuery({ ...document, definitions }, { schema, variables }).complexity;
}

export const tooComplexError: ComplexityErrorFn = (_kind, { depth }) =>
  depth > MAX_DEPTH
    ? new DomainError('LIMIT_EXCEEDED', `The operation nests fields more than ${MAX_DEPTH} levels deep.`, {
        limit: `depth ${MAX_DEPTH}`,
      })
    : new DomainError(
        'LIMIT_EXCEEDED',
        `The operation could return more than ${MAX_COMPLEXITY} fields. Request smaller pages or fewer fields.`,
        { limit: `complexity ${MAX_COMPLEXITY}` },
      );
