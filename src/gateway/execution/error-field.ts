import { BREAK, GraphQLError, Kind, visit } from 'graphql';
import type { ASTNode, DocumentNode } from 'graphql';
import { codeOf } from './format-error.ts';

/**
 * Message texts of graphql-js 17.1.0, which has no structured form of them. When a later version rewords one, its errors
 * lack `extensions.field`; test/gateway/error-field.test.ts notices.
 */
const VARIABLE_PATH = /^Variable "\$\w+" has invalid value at \.(?:\S*\.)?(\w+)(?:\[\d+\])*:/;
const INPUT_FIELD = /to include (?:required|unknown) field "(\w+)"/;
const REQUIRED_ARGUMENT = /^Argument "[\w.]+\((\w+):\)" of type/;

/** Returns an INVALID_INPUT error with `extensions.field`, the argument or input field at fault, where that is known. */
export function withInputField(error: GraphQLError, document: DocumentNode): GraphQLError {
  if (codeOf(error) !== 'INVALID_INPUT' || 'field' in error.extensions) return error;
  const field = fieldAtFault(error, document);
  if (field === undefined) return error;
  const { message, nodes, source, positions, path, extensions } = error;
  return new GraphQLError(message, { nodes, source, positions, path, extensions: { ...extensions, field } });
}

function fieldAtFault({ message, nodes }: GraphQLError, document: DocumentNode): string | undefined {
  for (const pattern of [VARIABLE_PATH, INPUT_FIELD, REQUIRED_ARGUMENT]) {
    const field = pattern.exec(message)?.[1];
    if (field !== undefined) return field;
  }
  const node = nodes?.[0];
  if (node === undefined) return undefined;
  if (node.kind !== Kind.VARIABLE_DEFINITION) return findEnclosingField(document, (value) => value === node);
  const { name } = node.variable;
  const usesVariable = (value: ASTNode): boolean =>
    value.kind === Kind.VARIABLE && value.name.value === name.value;
  return findEnclosingField(document, usesVariable) ?? name.value;
}

/** Returns the name of the innermost argument or input field that contains, or is, the first matching node. */
function findEnclosingField(document: DocumentNode, matches: (node: ASTNode) => boolean): string | undefined {
  const enclosing: string[] = [];
  let found: string | undefined;
  visit(document, {
    // The declaration of a variable is not a use of it.
    VariableDefinition: () => false,
    enter(node) {
      if (node.kind === Kind.ARGUMENT || node.kind === Kind.OBJECT_FIELD) enclosing.push(node.name.value);
      if (!matches(node)) return undefined;
      found = enclosing.at(-1);
      return BREAK;
    },
    leave(node) {
      if (node.kind === Kind.ARGUMENT || node.kind === Kind.OBJECT_FIELD) enclosing.pop();
    },
  });
  return found;
}
