import { notFound } from '../errors.ts';
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

/** Reads a global id of the type. Throws NOT_FOUND for any other text: no such thing can be. */
export function requireId<Type extends keyof typeof WHAT>(type: Type, text: string): Id<Type> {
  const parsed = parseGlobalId(text);
  const id = parsed?.type === type ? parseId<Type>(parsed.id) : undefined;
  if (id === undefined) throw notFound(WHAT[type]);
  return id;
}

/** What was read of something that was there a moment ago. Throws NOT_FOUND when it is gone. */
export function present<Value>(what: keyof typeof WHAT, value: Value | undefined): Value {
  if (value === undefined) throw notFound(WHAT[what]);
  return value;
}
