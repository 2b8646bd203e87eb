import { DomainError } from '../errors.ts';
import { MAX_JSON_DEPTH, MAX_JSON_VALUES, measureJson } from '../lib/json-weight.ts';

/**
 * Returns the memory of a JSON text's values beside the text, in bytes. Throws LIMIT_EXCEEDED if it must not be parsed: with
 * too many values, or nested so deep that functions which recurse would overflow the stack.
 */
export function weighJson(text: string): number {
  const { values, depth, overheadBytes } = measureJson(text);
  if (values > MAX_JSON_VALUES) throw tooLargeError(`${MAX_JSON_VALUES} values`);
  if (depth > MAX_JSON_DEPTH) throw tooDeepError();
  return overheadBytes;
}

export const tooDeepError = (): DomainError => tooLargeError(`${MAX_JSON_DEPTH} levels`);

const tooLargeError = (limit: string): DomainError =>
  new DomainError('LIMIT_EXCEEDED', `The JSON of a request may have at most ${limit}.`, { limit });
