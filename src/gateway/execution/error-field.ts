import { BREAK, GraphQLError, Kind, visit } from 'graphql';
import type { ASTNode, DocumentNode } from 'graphql';
import { codeOf } from './format-error.ts';

/** How graphql-js says where a value is wrong, and what an input object has too much or too little. */
const VARIABLE_PATH = /^Variable "\$\w+" has invalid value at \.(?:\S*\.)?(\w+)(?:\[\d+\])*:/;
const INPUT_FIELD = /to include (?:required|unknown) field "(\w+)"/;
const REQUIRED_ARGUMENT = /^Argument "[\w.]+\((\w+):\)" of type/;

/** Adds to a formatted error about the input of a document which argument or input field is at fault, if it is one. */
export function withInputField(error: GraphQLError, document: DocumentNode): GraphQLError {
  if (codeOf(error) !== 'INVALID_INPUT' || 'field' in error.extensions) return error;
  const field = fieldAtFault(error, document);
  if (field === undefined) return error;
  const { message, nodes, source, positions, path, extensions } = error;
  return new GraphQLError(message, { nodes, source, positions, path, extensions: { ...extensions, field } });
}

function fieldAtFault({ message, nodes }: GraphQLError, document: DocumentNode): string | undefined {
  for (const words of [VARIABLE_PATH, INPUT_FIELD, REQUIRED_ARGUMENT]) {
    const field = words.exec(message)?.[1];
    if (field !== undefined) return field;
  }
  const node = nodes?.[0];
  if (node === undefined) return undefined;
  if (node.kind !== Kind.VARIABLE_DEFINITION) return fieldAround(document, (value) => value === node);
  const { name } = node.variable;
  const takesIt = (value: ASTNode): boolean =>
    value.kind === Kind.VARIABLE && value.name.value === name.value;
  return fieldAround(document, takesIt) ?? name.value;
}

/** The argument or input field that is, or has for its value, what is looked for. */
function fieldAround(document: DocumentNode, isIt: (node: ASTNode) => boolean): string | undefined {
  const around: string[] = [];
  let found: string | undefined;
  visit(document, {
    // Where a variable is declared it is no value yet.
    VariableDefinition: () => false,
    enter(node) {
      if (node.kind === Kind.ARGUMENT || node.kind === Kind.OBJECT_FIELD) around.push(node.name.value);
      if (!isIt(node)) return undefined;
      found = around.at(-1);
      return BREAK;
    },
    leave(node) {
      if (node.kind === Kind.ARGUMENT || node.kind === Kind.OBJECT_FIELD) around.pop();
    },
  });
  return found;
}
