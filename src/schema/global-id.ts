import { invalidInput, notFound } from '../errors.ts';
import type { DomainError } from '../errors.ts';
import { parseGlobalId, parseId } from '../ids.ts';
import type { Id } from '../ids.ts';
import { NODE_TYPES } from './node-types.ts';
import type { NodeType } from './node-types.ts';

/** Parses an argument that is a global id of the given type. Throws INVALID_INPUT if it is not. */
export function requireId<Type extends NodeType>(type: Type, field: string, text: string): Id<Type> {
  const parsed = parseGlobalId(text);
  const id = parsed?.type === type ? parseId<Type>(parsed.id) : undefined;
  if (id === undefined) throw malformedIdError(field, type);
  return id;
}

/** Creates the error for an argument that is not a global id of the given type. */
export const malformedIdError = (field: string, type: string): DomainError =>
  invalidInput(field, `${field} is not a global id of the form ${type}:<number>.`);

/** Returns a loaded value. Throws NOT_FOUND if it is missing, as after a concurrent deletion. */
export function requireFound<Value>(type: NodeType, value: Value | undefined): Value {
  if (value === undefined) throw notFound(NODE_TYPES[type].label);
  return value;
}
