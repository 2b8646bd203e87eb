// Executes operations as graphql-js does, with the work that depends on the document alone done once. See docs/private-apis.md.
import {
  BREAK,
  defaultFieldResolver,
  getArgumentValues,
  getNullableType,
  GraphQLIncludeDirective,
  GraphQLSkipDirective,
  isLeafType,
  Kind,
  visit,
} from 'graphql';
import type {
  FieldNode,
  FragmentDefinitionNode,
  GraphQLField,
  GraphQLLeafType,
  GraphQLObjectType,
  GraphQLSchema,
  OperationDefinitionNode,
} from 'graphql';
import { resolveChannel, shouldTrace } from 'graphql/diagnostics.js';
import { buildResolveInfo } from 'graphql/execution/buildResolveInfo.js';
import { collectSubfields } from 'graphql/execution/collectFields.js';
import type { DeferUsage, FieldDetailsList, GroupedFieldSet } from 'graphql/execution/collectFields.js';
import { ExecutorThrowingOnIncremental } from 'graphql/execution/ExecutorThrowingOnIncremental.js';
import { addPath } from 'graphql/jsutils/Path.js';
import type { Path } from 'graphql/jsutils/Path.js';

type ValidatedArgs = ConstructorParameters<typeof ExecutorThrowingOnIncremental>[0];
type Values = Record<string, unknown>;

interface PlannedField {
  readonly responseName: string;
  readonly details: FieldDetailsList;
  readonly nodes: readonly FieldNode[];
  readonly definition: GraphQLField<unknown, unknown>;
  /** The type of a scalar or an enum, nullable or not. */
  readonly leafType: GraphQLLeafType | undefined;
  /** The property of the source that the resolver returns, if it does nothing else. */
  readonly property: string | undefined;
}

/** The fields that an operation selects of one object type. */
class Selection extends Map<string, FieldDetailsList> {
  readonly fields: readonly PlannedField[];

  constructor(schema: GraphQLSchema, type: GraphQLObjectType, grouped: GroupedFieldSet) {
    super(grouped);
    this.fields = [...grouped].flatMap(([responseName, details]) => {
      const field = planField(schema, type, responseName, details);
      return field === undefined ? [] : [field];
    });
  }
}

/** By the fields of which they are subselections. A field can have several object types. */
type Selections = WeakMap<FieldDetailsList, Map<GraphQLObjectType, Selection>>;

/** The selections of an operation in a schema, as far as it was executed. */
interface Plan {
  root: Selection | undefined;
  readonly selections: Selections;
}

/** Freed with the schema, and with the document. Null for operations whose selections depend on variables. */
const plans = new WeakMap<GraphQLSchema, WeakMap<OperationDefinitionNode, Plan | null>>();

const NO_ARGUMENTS = Object.freeze(Object.create(null)) as Values;

export class PlannedExecutor extends ExecutorThrowingOnIncremental {
  readonly #plan: Plan | null = findPlan(this.validatedExecutionArgs);

  override executeCollectedRootFields(
    rootType: GraphQLObjectType,
    rootValue: unknown,
    grouped: GroupedFieldSet,
    serially: boolean,
    deferUsages: readonly DeferUsage[],
  ) {
    const plan = this.#plan;
    if (plan !== null) plan.root ??= new Selection(this.validatedExecutionArgs.schema, rootType, grouped);
    return super.executeCollectedRootFields(
      rootType,
      rootValue,
      plan?.root ?? grouped,
      serially,
      deferUsages,
    );
  }

  override collectAndExecuteSubfields(
    type: GraphQLObjectType,
    details: FieldDetailsList,
    path: Path,
    source: unknown,
  ) {
    if (this.#plan === null) return super.collectAndExecuteSubfields(type, details, path, source, undefined);
    const selection = this.#findSelection(this.#plan.selections, type, details);
    return this.executeFields(type, source, path, selection, undefined);
  }

  override executeFields(
    type: GraphQLObjectType,
    source: unknown,
    path: Path | undefined,
    selection: GroupedFieldSet,
    position: undefined,
  ) {
    return selection instanceof Selection && !shouldTrace(resolveChannel)
      ? this.#executePlanned(type, source, path, selection)
      : super.executeFields(type, source, path, selection, position);
  }

  #findSelection(selections: Selections, type: GraphQLObjectType, details: FieldDetailsList): Selection {
    let byType = selections.get(details);
    if (byType === undefined) selections.set(details, (byType = new Map()));
    let selection = byType.get(type);
    if (selection === undefined) {
      const { schema, fragments, variableValues, hideSuggestions } = this.validatedExecutionArgs;
      const { groupedFieldSet } = collectSubfields(
        schema,
        fragments,
        variableValues,
        type,
        details,
        hideSuggestions,
      );
      byType.set(type, (selection = new Selection(schema, type, groupedFieldSet)));
    }
    return selection;
  }

  /** As `executeFields` of graphql-js. */
  #executePlanned(
    type: GraphQLObjectType,
    source: unknown,
    path: Path | undefined,
    { fields }: Selection,
  ): Values | Promise<Values> {
    // With the prototype of objects: an object without one takes several times as long to fill and to encode.
    const results: Values = {};
    let hasPromises = false;
    try {
      for (const field of fields) {
        const result = readProperty(field, source) ?? this.#executeField(type, source, field, path);
        results[field.responseName] = result;
        if (result instanceof Promise) hasPromises = true;
      }
    } catch (error) {
      if (hasPromises) this.sharedExecutionContext.asyncWorkTracker.addValues(Object.values(results));
      throw error;
    }
    return hasPromises ? this.#settle(results) : results;
  }

  #settle(results: Values): Promise<Values> {
    return this.promiseAll(Object.values(results)).then((values) => {
      const settled: Values = {};
      let index = 0;
      for (const name of Object.keys(results)) settled[name] = values[index++];
      return settled;
    });
  }

  /** As `executeField` of graphql-js. */
  #executeField(
    type: GraphQLObjectType,
    source: unknown,
    field: PlannedField,
    prev: Path | undefined,
  ): unknown {
    const { definition, details, leafType } = field;
    const args = this.validatedExecutionArgs;
    const path = addPath(prev, field.responseName, type.name);
    const resolve = definition.resolve ?? args.fieldResolver;
    const info = buildResolveInfo(
      args,
      definition,
      field.nodes,
      type,
      path,
      this.getAbortSignal,
      this.getAsyncHelpers,
    );
    try {
      const result: unknown = resolve(source, this.#argumentsOf(field), args.contextValue, info);
      if (isPromiseLike(result))
        return this.completePromisedValue(definition.type, details, info, path, result, undefined);
      const leaf = leafType === undefined ? undefined : completeLeaf(leafType, result);
      if (leaf !== undefined) return leaf;
      const completed: unknown = this.completeValue(definition.type, details, info, path, result, undefined);
      if (!(completed instanceof Promise)) return completed;
      return completed.then(undefined, (error: unknown) => {
        this.handleFieldError(error, definition.type, details, path);
        return null;
      });
    } catch (error) {
      this.handleFieldError(error, definition.type, details, path);
      return null;
    }
  }

  #argumentsOf({ definition, nodes }: PlannedField): Values {
    const [node] = nodes;
    if (definition.args.length === 0 || node === undefined) return NO_ARGUMENTS;
    const { variableValues, hideSuggestions } = this.validatedExecutionArgs;
    return getArgumentValues(definition, node, variableValues, undefined, hideSuggestions);
  }
}

function findPlan({ schema, operation, fragmentDefinitions }: ValidatedArgs): Plan | null {
  let plansOfSchema = plans.get(schema);
  if (plansOfSchema === undefined) plans.set(schema, (plansOfSchema = new WeakMap()));
  let plan = plansOfSchema.get(operation);
  if (plan === undefined) {
    const definitions = [operation, ...Object.values(fragmentDefinitions)];
    plan = definitions.some(dependsOnVariables) ? null : { root: undefined, selections: new WeakMap() };
    plansOfSchema.set(operation, plan);
  }
  return plan;
}

/** Whether the selected fields differ between executions, or are more than a plan describes. */
function dependsOnVariables(definition: OperationDefinitionNode | FragmentDefinitionNode): boolean {
  let depends = false;
  const found = (): typeof BREAK => {
    depends = true;
    return BREAK;
  };
  visit(definition, {
    [Kind.DIRECTIVE]: (node) =>
      node.arguments?.every(({ value }) => value.kind === Kind.BOOLEAN) === true &&
      CONDITIONS.has(node.name.value)
        ? undefined
        : found(),
    [Kind.FIELD]: ({ alias }) => (alias?.value === '__proto__' ? found() : undefined),
    [Kind.FRAGMENT_DEFINITION]: ({ variableDefinitions = [] }) =>
      variableDefinitions.length > 0 ? found() : undefined,
  });
  return depends;
}

const CONDITIONS = new Set([GraphQLSkipDirective.name, GraphQLIncludeDirective.name]);

/** Returns undefined for a field that the type does not have. */
function planField(
  schema: GraphQLSchema,
  type: GraphQLObjectType,
  responseName: string,
  details: FieldDetailsList,
): PlannedField | undefined {
  const nodes = details.map(({ node }) => node);
  const definition = nodes[0] && schema.getField(type, nodes[0].name.value);
  if (definition === undefined) return undefined;
  const fieldType = getNullableType(definition.type);
  const leafType = isLeafType(fieldType) ? fieldType : undefined;
  const property = leafType && findProperty(definition);
  return { responseName, details, nodes, definition, leafType, property };
}

function findProperty({ name, resolve, extensions }: GraphQLField<unknown, unknown>): string | undefined {
  if (resolve === undefined || resolve === defaultFieldResolver) return name;
  const { pothosExposedField, pothosResolveWrapped } = extensions;
  return typeof pothosExposedField === 'string' && pothosResolveWrapped === false
    ? pothosExposedField
    : undefined;
}

/** Returns the result of a field that is a property of its source; undefined if it has to be resolved. */
function readProperty({ leafType, property }: PlannedField, source: unknown): unknown {
  if (leafType === undefined || property === undefined) return undefined;
  return typeof source === 'object' && source !== null
    ? completeLeaf(leafType, (source as Values)[property])
    : undefined;
}

/** Returns undefined for a value that may be invalid. */
function completeLeaf(type: GraphQLLeafType, value: unknown): unknown {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return undefined;
  try {
    return type.coerceOutputValue(value) ?? undefined;
  } catch {
    return undefined;
  }
}

const isPromiseLike = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as Partial<PromiseLike<unknown>> | null | undefined)?.then === 'function';
