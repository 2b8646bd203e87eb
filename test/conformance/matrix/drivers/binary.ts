/** Binary data as JSON, for clients in another process. */
export interface EncodedBinary {
  readonly $binary: string;
}

export const encodeBinary = (bytes: readonly number[]): EncodedBinary => ({
  $binary: Buffer.from(bytes).toString('base64'),
});

/** Replaces encoded binary data by buffers. None is from Node's pool: clients up to 1.4 send the whole ArrayBuffer. */
export function toBuffers(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(toBuffers);
  if ('$binary' in value) {
    const bytes = Buffer.from(String(value.$binary), 'base64');
    return Buffer.from(Uint8Array.from(bytes).buffer);
  }
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, toBuffers(field)]));
}

/** Replaces buffers by encoded binary data. */
export function fromBuffers(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(fromBuffers);
  if (value instanceof ArrayBuffer) return encodeBinary([...new Uint8Array(value)]);
  if (ArrayBuffer.isView(value)) {
    return encodeBinary([...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)]);
  }
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, fromBuffers(field)]));
}
