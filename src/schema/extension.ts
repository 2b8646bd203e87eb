import {
  defaultFieldResolver,
  extendSchema,
  getNullableType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  parse,
} from 'graphql';
import type {
  DefinitionNode,
  DocumentNode,
  GraphQLField,
  GraphQLFieldResolver,
  GraphQLObjectType,
  GraphQLSchema,
} from 'graphql';
import { ConfigError } from '../config.ts';
import { DEFAULT_LIST_SIZE, findComplexityCheck } from './complexity.ts';
import { requireActor } from './context.ts';
import type { Context } from './context.ts';
import type { ExtensionContext, ExtensionField, SchemaExtension } from './extension-types.ts';
import { readForHost, resolveForHost } from './host-errors.ts';
import { readNode } from './node.ts';
import { withSnapshotRead } from './snapshot-reads.ts';

type Field = ExtensionField<never>;
type Resolve = GraphQLFieldResolver<unknown, Context>;
type Definitions = Readonly<Record<string, Readonly<Record<string, Field | Field['resolve']>> | undefined>>;

/** The only types of the gateway that may be extended are object types; a stream of events needs a topic of the log. */
const EXTENSIBLE: ReadonlySet<string> = new Set<DefinitionNode['kind']>([
  Kind.OBJECT_TYPE_EXTENSION,
  Kind.OBJECT_TYPE_DEFINITION,
  Kind.INTERFACE_TYPE_DEFINITION,
  Kind.UNION_TYPE_DEFINITION,
  Kind.ENUM_TYPE_DEFINITION,
  Kind.INPUT_OBJECT_TYPE_DEFINITION,
  Kind.SCALAR_TYPE_DEFINITION,
]);

/**
 * Returns the schema with the fields of a host; the given schema stays as it is. The limits of operations apply to the fields,
 * and no value is shared between callers unless the field is marked as shareable. Throws a `ConfigError` with all problems.
 */
export function extendWithFields(
  base: GraphQLSchema,
  { typeDefs, resolvers = {} }: SchemaExtension,
): GraphQLSchema {
  const extended = extendWithTypes(base, typeDefs);
  const problems: string[] = [];
  const definitions = resolvers as Definitions;
  for (const type of Object.values(extended.getTypeMap())) {
    if (type.name.startsWith('__') || !(isObjectType(type) || isInterfaceType(type))) continue;
    const baseType = base.getType(type.name);
    const baseFields = isObjectType(baseType) || isInterfaceType(baseType) ? baseType.getFields() : undefined;
    for (const [name, field] of Object.entries(type.getFields())) {
      if (baseFields !== undefined && name in baseFields) continue;
      const definition = definitions[type.name]?.[name];
      if (!isObjectType(type)) markPerActor(field, true);
      else if (baseFields === undefined) resolveByProperty(field);
      else if (definition === undefined)
        problems.push(`schema: the field ${type.name}.${name} needs a resolver`);
      else resolveByHost(extended, type, field, toField(definition));
    }
  }
  problems.push(...findSurplus(base, extended, definitions));
  if (problems.length > 0) throw new ConfigError(problems);
  return extended;
}

function extendWithTypes(base: GraphQLSchema, typeDefs: string): GraphQLSchema {
  let document: DocumentNode;
  try {
    document = parse(typeDefs);
  } catch (error) {
    throw invalidTypes(error);
  }
  const refused = document.definitions.filter(
    (definition) =>
      !EXTENSIBLE.has(definition.kind) || ('name' in definition && definition.name?.value === 'Subscription'),
  );
  if (refused.length > 0)
    throw new ConfigError(
      refused.map(
        ({ kind }) =>
          `schema: typeDefs may define types, and extend object types except Subscription; not ${kind}`,
      ),
    );
  try {
    return extendSchema(base, document);
  } catch (error) {
    throw invalidTypes(error);
  }
}

const invalidTypes = (error: unknown): ConfigError =>
  new ConfigError([`schema: ${error instanceof Error ? error.message : String(error)}`]);

/** Finds resolvers of fields that `typeDefs` does not add: misspelt ones, and those of the gateway, which stay as they are. */
function findSurplus(base: GraphQLSchema, extended: GraphQLSchema, definitions: Definitions): string[] {
  const hasField = (schema: GraphQLSchema, typeName: string, name: string): boolean => {
    const type = schema.getType(typeName);
    return isObjectType(type) && name in type.getFields();
  };
  return Object.entries(definitions).flatMap(([typeName, fields = {}]) =>
    Object.keys(fields).flatMap((name) => {
      if (base.getType(typeName) === undefined)
        return [`schema: resolvers are for types of the gateway, and ${typeName} is none`];
      if (hasField(base, typeName, name)) return [`schema: ${typeName}.${name} is a field of the gateway`];
      return hasField(extended, typeName, name) ? [] : [`schema: typeDefs has no field ${typeName}.${name}`];
    }),
  );
}

const toField = (definition: Field | Field['resolve']): Field =>
  typeof definition === 'function' ? { resolve: definition } : definition;

function resolveByHost(
  schema: GraphQLSchema,
  type: GraphQLObjectType,
  field: GraphQLField<unknown, unknown>,
  { resolve: resolveHost, isShareable = false, isPublic = false, complexity = 1 }: Field,
): void {
  const isRoot = type === schema.getQueryType() || type === schema.getMutationType();
  const check = findComplexityCheck(schema);
  const resolve: Resolve = (parent, args, context, info) => {
    if (isRoot) {
      check(context, info);
      if (!isPublic) requireActor(context);
    }
    return resolveForHost(field.type, () =>
      resolveHost(parent as never, args as never, createExtensionContext(context), info),
    );
  };
  const snapshotRead = withSnapshotRead(schema, type, field, resolve);
  field.resolve = snapshotRead as typeof field.resolve;
  markPerActor(field, !isShareable);
  setComplexity(field, complexity);
}

/** The value comes from the resolver above. Methods receive the same context as resolvers. */
function resolveByProperty(field: GraphQLField<unknown, unknown>): void {
  const resolve: Resolve = (parent, args, context, info) =>
    resolveForHost(field.type, () =>
      defaultFieldResolver(parent, args, createExtensionContext(context), info),
    );
  field.resolve = resolve as typeof field.resolve;
  setComplexity(field, 1);
}

function setComplexity(field: GraphQLField<unknown, unknown>, cost: number): void {
  const complexity = isListType(getNullableType(field.type))
    ? { field: cost, multiplier: DEFAULT_LIST_SIZE }
    : cost;
  field.extensions = { ...field.extensions, complexity };
}

function markPerActor(field: GraphQLField<unknown, unknown>, perActor: boolean): void {
  field.extensions = { ...field.extensions, perActor };
}

/** Reads the caller on demand: an execution that is shared by several has none. */
const createExtensionContext = (context: Context): ExtensionContext => ({
  get actor() {
    return context.session?.actor ?? null;
  },
  address: context.address,
  signal: context.signal,
  requireActor: () => requireActor(context),
  node: (id) => readForHost(readNode(context, 'id', id)),
});
