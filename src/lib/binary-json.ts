/** Binary data that was in a value, as base64, and where: which key of which key, counted from 0. */
export type BinaryPart = readonly [place: readonly number[], base64: string];

/** How many bytes of binary data, which JSON has no form for, are in a value. */
export function binaryLength(value: unknown): number {
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, inner) => sum + binaryLength(inner), 0);
}

/** Takes the binary data out of a value: answers it with null in its places, and notes the parts. */
export function takeBinary(value: unknown, parts: BinaryPart[], place: readonly number[] = []): unknown {
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    parts.push([place, Buffer.from(buffer, byteOffset, byteLength).toString('base64')]);
    return null;
  }
  const take = (inner: unknown, index: number) => takeBinary(inner, parts, [...place, index]);
  if (Array.isArray(value)) return value.map(take);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner], index) => [key, take(inner, index)]));
}

/** Puts binary data back to its places in a value that has been JSON meanwhile, which keeps the order of keys. */
export function restoreBinary(value: unknown, parts: readonly BinaryPart[]): unknown {
  return parts.reduce((whole, [place, base64]) => putAt(whole, place, Buffer.from(base64, 'base64')), value);
}

function putAt(value: unknown, [index, ...rest]: readonly number[], data: Buffer): unknown {
  if (index === undefined) return data;
  if (typeof value !== 'object' || value === null) return value;
  const key = Object.keys(value)[index] ?? '';
  const inner = putAt(Reflect.get(value, key), rest, data);
  // Defined, not set: what a client named `__proto__` is a key like any other.
  Object.defineProperty(value, key, { value: inner, enumerable: true, configurable: true, writable: true });
  return value;
}
