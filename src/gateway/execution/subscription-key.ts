import { getOperationAST, isInterfaceType, Kind, TypeInfo, visit, visitWithTypeInfo } from 'graphql';
import type { DocumentNode, GraphQLSchema, OperationDefinitionNode } from 'graphql';

/** Tells which subscriptions have the same results for every reader. */
export interface SubscriptionKeys {
  /**
   * The same text for operations whose results are the same for the same event, whoever asks and wherever the reader
   * began. Undefined for an operation that selects something which depends on who is asking.
   */
  keyOf(operation: SharableOperation): string | undefined;
}

export interface SharableOperation {
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
}

/** Groups are kept under their keys: with values that are longer than this a reader is served alone. */
const MAX_KEY = 1_000;

interface Known {
  readonly id: number;
  readonly perActor: boolean;
  /** Variables that only say where a stream begins, by operation. */
  readonly places: Map<string, ReadonlySet<string>>;
}

/**
 * Throws when a field of an interface is not marked `perActor` and is so in a type that implements it: selected on the
 * interface, it would be shared.
 */
export function createSubscriptionKeys(schema: GraphQLSchema): SubscriptionKeys {
  checkInterfaces(schema);
  const known = new WeakMap<DocumentNode, Known>();
  let documents = 0;

  const learn = (document: DocumentNode): Known => {
    documents += 1;
    const learnt = { id: documents, perActor: selectsPerActor(schema, document), places: new Map() };
    known.set(document, learnt);
    return learnt;
  };

  return {
    keyOf({ document, operationName, variables }) {
      const { id, perActor, places } = known.get(document) ?? learn(document);
      const operation = getOperationAST(document, operationName);
      if (perActor || operation == null) return undefined;
      const name = operationName ?? '';
      const left = places.get(name) ?? startVariables(document, operation);
      places.set(name, left);
      // What nobody has declared makes no difference.
      const declared = (operation.variableDefinitions ?? []).map(({ variable }) => variable.name.value);
      const values = declared.filter((one) => !left.has(one)).map((one) => [one, variables?.[one]]);
      const key = `${id} ${name} ${JSON.stringify(values)}`;
      return key.length > MAX_KEY ? undefined : key;
    },
  };
}

function checkInterfaces(schema: GraphQLSchema): void {
  for (const type of Object.values(schema.getTypeMap()).filter(isInterfaceType)) {
    for (const [name, field] of Object.entries(type.getFields())) {
      const marked = schema
        .getPossibleTypes(type)
        .filter((one) => isPerActor(one.getFields()[name]))
        .map((one) => one.name);
      if (marked.length > 0 && !isPerActor(field))
        throw new Error(`${type.name}.${name} must be marked perActor, as it is in ${marked.join(', ')}`);
    }
  }
}

const isPerActor = (field: { readonly extensions: object } | null | undefined): boolean =>
  field != null && 'perActor' in field.extensions && field.extensions.perActor === true;

function selectsPerActor(schema: GraphQLSchema, document: DocumentNode): boolean {
  const types = new TypeInfo(schema);
  let found = false;
  const look = { Field: () => void (found ||= isPerActor(types.getFieldDef())) };
  visit(document, visitWithTypeInfo(types, look));
  return found;
}

/** Variables that stand as `after` of the subscription's own field, and nowhere else. */
function startVariables(
  document: DocumentNode,
  { selectionSet }: OperationDefinitionNode,
): ReadonlySet<string> {
  const places = selectionSet.selections.flatMap((selection) => {
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
  return new Set(places.filter((name) => uses.get(name) === 1));
}
