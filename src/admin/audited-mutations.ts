import { defaultFieldResolver } from 'graphql';
import type { GraphQLFieldResolver, GraphQLSchema } from 'graphql';
import { runAudited } from '../domain/audit-log.ts';
import type { AdminContext } from './context.ts';

type Resolve = GraphQLFieldResolver<unknown, AdminContext, Record<string, unknown>>;

/** Records every mutation of the schema in the audit log, with its arguments: none may be a secret. */
export function withAudit(schema: GraphQLSchema): GraphQLSchema {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const resolve: Resolve = field.resolve ?? defaultFieldResolver;
    const audited: Resolve = (parent, args, context, info) =>
      runAudited(context.deps, context.operator, { name: field.name, arguments: args }, async () =>
        resolve(parent, args, context, info),
      );
    field.resolve = audited as typeof field.resolve;
  }
  return schema;
}
