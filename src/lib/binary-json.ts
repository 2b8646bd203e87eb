/**
 * Binary data taken out of a value: the path to it, as indexes into `Object.keys` at each level, and the data in
 * base64.
 */
export type BinaryPart = readonly [path: readonly number[], base64: string];

/** Returns the number of bytes of binary data in a value. */
export function binaryLength(value: unknown): number {
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, inner) => sum + binaryLength(inner), 0);
}

/** Returns the approximate memory of a value, in bytes, without serialising it. */
export function approximateJsonSize(value: unknown): number {
  if (typeof value === 'string') return 2 * value.length;
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (typeof value !== 'object' || value === null) return 8;
  return Object.entries(value).reduce(
    (sum, [key, inner]) => sum + 2 * key.length + 16 + approximateJsonSize(inner),
    16,
  );
}

/**
 * Returns a copy of the value that JSON can represent, with null in place of binary data, and appends that data to
 * `parts`.
 */
export function extractBinary(value: unknown, parts: BinaryPart[], path: readonly number[] = []): unknown {
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    parts.push([path, Buffer.from(buffer, byteOffset, byteLength).toString('base64')]);
    return null;
  }
  const extract = (inner: unknown, index: number) => extractBinary(inner, parts, [...path, index]);
  if (Array.isArray(value)) return value.map(extract);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner], index) => [key, extract(inner, index)]));
}

/**
 * Puts the binary data back into a value from `extractBinary` that was serialised and parsed, which preserves the order
 * of keys.
 */
export function restoreBinary(value: unknown, parts: readonly BinaryPart[]): unknown {
  return parts.reduce((whole, [path, base64]) => setAt(whole, path, Buffer.from(base64, 'base64')), value);
}

function setAt(value: unknown, [index, ...rest]: readonly number[], data: Buffer): unknown {
  if (index === undefined) return data;
  if (typeof value !== 'object' || value === null) return value;
  const key = Object.keys(value)[index] ?? '';
  const inner = setAt(Reflect.get(value, key), rest, data);
  // Defined, not assigned: an assignment to a client's `__proto__` key would change the prototype.
  Object.defineProperty(value, key, { value: inner, enumerable: true, configurable: true, writable: true });
  return value;
}
