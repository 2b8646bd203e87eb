import { invalidInput, notFound } from '../errors.ts';
import type { DomainError } from '../errors.ts';
import { parseGlobalId, parseId } from '../ids.ts';
import type { Id } from '../ids.ts';

const WHAT = {
  User: 'The user',
  Device: 'The device',
  Circle: 'The circle',
  CircleInvitation: 'The invitation',
  Conversation: 'The conversation',
  Message: 'The message',
  Media: 'The media',
} as const;

/** Reads the global id of a type out of an argument. Throws INVALID_INPUT for text of another form. */
export function requireId<Type extends keyof typeof WHAT>(type: Type, field: string, text: string): Id<Type> {
  const parsed = parseGlobalId(text);
  const id = parsed?.type === type ? parseId<Type>(parsed.id) : undefined;
  if (id === undefined) throw malformedId(field, type);
  return id;
}

/** The error for text that is no global id of the type. */
export const malformedId = (field: string, type: string): DomainError =>
  invalidInput(field, `${field} is not a global id of the form ${type}:<number>.`);

/** What was read of something that was there a moment ago. Throws NOT_FOUND when it is gone. */
export function present<Value>(what: keyof typeof WHAT, value: Value | undefined): Value {
  if (value === undefined) throw notFound(WHAT[what]);
  return value;
}
