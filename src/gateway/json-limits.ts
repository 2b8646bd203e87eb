import { DomainError } from '../errors.ts';
import { MAX_JSON_DEPTH, MAX_JSON_PARTS, measureJson } from '../lib/json-weight.ts';

/**
 * Returns the memory of what a JSON text is parsed to, beside the text, in bytes. Throws LIMIT_EXCEEDED if it must not be
 * parsed: with too many parts, or nested so deep that functions which recurse would overflow the stack.
 */
export function weighJson(text: string): number {
  const { parts, depth, overheadBytes } = measureJson(text);
  if (parts > MAX_JSON_PARTS) throw tooLargeError(`${MAX_JSON_PARTS} objects, lists and properties`);
  if (depth > MAX_JSON_DEPTH) throw tooDeepError();
  return overheadBytes;
}

export const tooDeepError = (): DomainError => tooLargeError(`${MAX_JSON_DEPTH} levels`);

const tooLargeError = (limit: string): DomainError =>
  new DomainError('LIMIT_EXCEEDED', `The JSON of a request may have at most ${limit}.`, { limit });
