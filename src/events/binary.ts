/** Binary data that was in a value, as base64, and the keys that lead to it. */
export type BinaryPart = readonly [path: readonly (string | number)[], base64: string];

/** The binary data in a value that JSON has no form for, each with its place. */
export function binaryIn(value: unknown, path: readonly (string | number)[] = []): BinaryPart[] {
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    return [[path, Buffer.from(buffer, byteOffset, byteLength).toString('base64')]];
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => binaryIn(item, [...path, index]));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => binaryIn(item, [...path, key]));
}

/** Puts binary data back to its places, in a value that was read from JSON. */
export function restoreBinary(value: unknown, parts: readonly BinaryPart[]): unknown {
  return parts.reduce((whole, [path, base64]) => putAt(whole, path, Buffer.from(base64, 'base64')), value);
}

function putAt(value: unknown, [key, ...rest]: readonly (string | number)[], data: Buffer): unknown {
  if (key === undefined) return data;
  if (typeof value !== 'object' || value === null) return value;
  const present: unknown = Reflect.get(value, key);
  // Defined, not set: what a client named `__proto__` is a key like any other.
  Object.defineProperty(value, key, {
    value: putAt(present, rest, data),
    enumerable: true,
    configurable: true,
    writable: true,
  });
  return value;
}
