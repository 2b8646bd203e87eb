import { getOperationAST, isInterfaceType, Kind, TypeInfo, visit, visitWithTypeInfo } from 'graphql';
import type { DocumentNode, GraphQLSchema, OperationDefinitionNode } from 'graphql';

/** Finds the subscriptions whose results are the same for every subscriber. */
export interface SubscriptionKeys {
  /**
   * Returns equal keys for operations whose results for an event are equal, regardless of the account and the start
   * cursor. Returns undefined for an operation that selects a field marked `perActor`.
   */
  keyOf(operation: ShareableOperation): string | undefined;
}

export interface ShareableOperation {
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
}

/** Groups retain their keys. A subscription with longer variable values executes its events on its own. */
const MAX_KEY_LENGTH = 1_000;

interface Analysis {
  readonly id: number;
  readonly perActor: boolean;
  /** Variables that only set the start of a stream, by operation name. */
  readonly startVariables: Map<string, ReadonlySet<string>>;
}

/**
 * Throws if a field of an interface is not marked `perActor` and an implementing type marks it: selected on the
 * interface, the field would be shared between accounts.
 */
export function createSubscriptionKeys(schema: GraphQLSchema): SubscriptionKeys {
  checkInterfaces(schema);
  const analyses = new WeakMap<DocumentNode, Analysis>();
  let documents = 0;

  const analyze = (document: DocumentNode): Analysis => {
    documents += 1;
    const analysis = {
      id: documents,
      perActor: selectsPerActor(schema, document),
      startVariables: new Map(),
    };
    analyses.set(document, analysis);
    return analysis;
  };

  return {
    keyOf({ document, operationName, variables }) {
      const { id, perActor, startVariables } = analyses.get(document) ?? analyze(document);
      const operation = getOperationAST(document, operationName);
      if (perActor || operation == null) return undefined;
      const name = operationName ?? '';
      const ignoredVariables = startVariables.get(name) ?? findStartVariables(document, operation);
      startVariables.set(name, ignoredVariables);
      // Values of undeclared variables have no effect on results.
      const declaredVariables = (operation.variableDefinitions ?? []).map(
        ({ variable }) => variable.name.value,
      );
      const values = declaredVariables
        .filter((variable) => !ignoredVariables.has(variable))
        .map((variable) => [variable, variables?.[variable]]);
      const key = `${id} ${name} ${JSON.stringify(values)}`;
      return key.length > MAX_KEY_LENGTH ? undefined : key;
    },
  };
}

function checkInterfaces(schema: GraphQLSchema): void {
  for (const type of Object.values(schema.getTypeMap()).filter(isInterfaceType)) {
    for (const [name, field] of Object.entries(type.getFields())) {
      const markedTypes = schema
        .getPossibleTypes(type)
        .filter((possible) => isPerActor(possible.getFields()[name]))
        .map((possible) => possible.name);
      if (markedTypes.length > 0 && !isPerActor(field))
        throw new Error(
          `${type.name}.${name} must be marked perActor, as it is in ${markedTypes.join(', ')}`,
        );
    }
  }
}

const isPerActor = (field: { readonly extensions: object } | null | undefined): boolean =>
  field != null && 'perActor' in field.extensions && field.extensions.perActor === true;

function selectsPerActor(schema: GraphQLSchema, document: DocumentNode): boolean {
  const types = new TypeInfo(schema);
  let found = false;
  const visitor = { Field: () => void (found ||= isPerActor(types.getFieldDef())) };
  visit(document, visitWithTypeInfo(types, visitor));
  return found;
}

/** Finds the variables used as `after` of the subscription's root field, and nowhere else. */
function findStartVariables(
  document: DocumentNode,
  { selectionSet }: OperationDefinitionNode,
): ReadonlySet<string> {
  const candidates = selectionSet.selections.flatMap((selection) => {
    const after =
      selection.kind === Kind.FIELD
        ? selection.arguments?.find(({ name }) => name.value === 'after')
        : undefined;
    return after?.value.kind === Kind.VARIABLE ? [after.value.name.value] : [];
  });
  const uses = new Map<string, number>();
  visit(document, {
    VariableDefinition: () => false,
    Variable: ({ name }) => void uses.set(name.value, (uses.get(name.value) ?? 0) + 1),
  });
  return new Set(candidates.filter((name) => uses.get(name) === 1));
}
