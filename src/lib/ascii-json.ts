/**
 * Writes JSON in ASCII: the same document, also for clients that take bytes for characters or undo UTF-8 once more
 * than was done.
 */
export const asciiJson = (json: string): string =>
  json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
