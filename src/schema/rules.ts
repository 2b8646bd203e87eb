import {
  getEnterLeaveForKind,
  isInterfaceType,
  isObjectType,
  Kind,
  PossibleFragmentSpreadsRule,
  specifiedRules,
  typeFromAST,
} from 'graphql';
import type { ASTNode, ASTVisitor, GraphQLNamedType, GraphQLOutputType, ValidationContext } from 'graphql';

type AnyType = GraphQLNamedType | GraphQLOutputType | null | undefined;

/**
 * Relaxes PossibleFragmentSpreadsRule of graphql-js: permits a fragment on any event type in any event stream. All streams
 * once had the type `Event`, and shipped clients use one selection of events for all of them.
 */
function PossibleEventSpreadsRule(context: ValidationContext): ASTVisitor {
  const visitor = PossibleFragmentSpreadsRule(context);
  return {
    enter(...args) {
      const [node] = args;
      if (isEvent(context.getParentType()) && isEvent(fragmentType(context, node))) return undefined;
      return getEnterLeaveForKind(visitor, node.kind).enter?.apply(visitor, args);
    },
  };
}

function fragmentType(context: ValidationContext, node: ASTNode): AnyType {
  if (node.kind === Kind.INLINE_FRAGMENT) return context.getType();
  const fragment = node.kind === Kind.FRAGMENT_SPREAD ? context.getFragment(node.name.value) : undefined;
  return fragment && typeFromAST(context.getSchema(), fragment.typeCondition);
}

const isEvent = (type: AnyType): boolean =>
  (isInterfaceType(type) && type.name === 'Event') ||
  ((isInterfaceType(type) || isObjectType(type)) &&
    type.getInterfaces().some(({ name }) => name === 'Event'));

/** The validation rules for documents: those of the specification, with the one above relaxed. */
export const RULES = specifiedRules.map((rule) =>
  rule === PossibleFragmentSpreadsRule ? PossibleEventSpreadsRule : rule,
);
