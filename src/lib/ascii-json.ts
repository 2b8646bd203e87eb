/**
 * Escapes every non-ASCII character of a JSON text. The document stays the same for clients that read bytes as
 * characters, or that decode UTF-8 twice.
 */
export const asciiJson = (json: string): string =>
  json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
