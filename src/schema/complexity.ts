import SchemaBuilder from '@pothos/core';
import type { PothosOutputFieldConfig, SchemaTypes } from '@pothos/core';
import { PothosComplexityPlugin } from '@pothos/plugin-complexity';
import type { ComplexityErrorFn } from '@pothos/plugin-complexity';
import type { GraphQLFieldResolver } from 'graphql';
import { DomainError } from '../errors.ts';

export const MAX_COMPLEXITY = 400_000;
export const MAX_DEPTH = 16;
/** How many objects a plain list is taken to hold. */
export const LIST_SIZE = 4;
/** As how many fields a text counts that may have some thousand characters. */
export const LONG_TEXT = 25;
/** Of messages, in one answer. */
export const MAX_TEXT = 4_000_000;
/** As how many fields a statement counts, where one field makes many of them: everybody else waits for them. */
export const STATEMENT = 1_000;

/** As how many fields a password counts, which takes about a tenth of a second to hash: ten in a document. */
export const PASSWORD = 40_000;

/** The plugin types of Pothos know the one that this one replaces. */
export const LIMITS = 'limits' as 'complexity';

type Resolver<Types extends SchemaTypes> = GraphQLFieldResolver<unknown, Types['Context'], object>;

/** Refuses a subscription that asks for too much when it begins, where Pothos' own would refuse each of its events. */
class LimitsPlugin<Types extends SchemaTypes> extends PothosComplexityPlugin<Types> {
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
}

SchemaBuilder.registerPlugin(LIMITS, LimitsPlugin);

export const tooComplex: ComplexityErrorFn = (_kind, { depth }) =>
  depth > MAX_DEPTH
    ? new DomainError('LIMIT_EXCEEDED', `The operation nests fields more than ${MAX_DEPTH} levels deep.`, {
        limit: `depth ${MAX_DEPTH}`,
      })
    : new DomainError(
        'LIMIT_EXCEEDED',
        `The operation could answer more than ${MAX_COMPLEXITY} fields. Ask for smaller pages, or for less at a time.`,
        { limit: `complexity ${MAX_COMPLEXITY}` },
      );
