/**
 * Clears a field of an object that graphql-ws retains as long as the operation or connection lives. graphql-ws 6.4.2 does
 * not read `connectionParams` after `onConnect`, nor `query` after `onSubscribe`. A connection may have 1,000 operations:
 * their texts would be most of its memory.
 */
export function clearRetained(retained: object, field: 'connectionParams' | 'query'): void {
  Object.assign(retained, { [field]: undefined });
}

/** Whether graphql-ws threw the error because of a frame that only a server may send. It has no class or code for it. */
export const isUnexpectedFrame = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith('Unexpected message of type');

/**
 * Returns the handler of graphql-ws for frames that are parsed already. It parses text only, and is typed for text only.
 * Text must be malformed JSON, or not an object.
 */
export const acceptParsed =
  (handle: (text: string) => Promise<void>) =>
  (frame: object | string): Promise<void> =>
    handle(frame as string);
