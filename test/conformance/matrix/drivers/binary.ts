/** How binary data travels between a check and a client in another process: as what JSON has. */
export interface Binary {
  readonly $binary: string;
}

export const binary = (bytes: readonly number[]): Binary => ({
  $binary: Buffer.from(bytes).toString('base64'),
});

/** Puts buffers in the place of what stands for them. They are of no pool: clients up to 1.4 send all of it. */
export function toBuffers(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(toBuffers);
  if ('$binary' in value) {
    const bytes = Buffer.from(String(value.$binary), 'base64');
    return Buffer.from(Uint8Array.from(bytes).buffer);
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toBuffers(inner)]));
}

/** Puts what stands for it in the place of binary data. */
export function fromBuffers(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(fromBuffers);
  if (value instanceof ArrayBuffer) return binary([...new Uint8Array(value)]);
  if (ArrayBuffer.isView(value)) {
    return binary([...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)]);
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fromBuffers(inner)]));
}
