export interface Cache<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
}

/** A map that keeps the most recently used entries, which have at most `size` characters together: by default their keys. */
export function createLruCache<Value>(
  size: number,
  sizeOf: (key: string, value: Value) => number = (key) => key.length,
): Cache<Value> {
  const entries = new Map<string, Value>();
  let used = 0;
  const remove = (key: string): void => {
    const value = entries.get(key);
    if (value !== undefined && entries.delete(key)) used -= sizeOf(key, value);
  };
  return {
    get(key) {
      const value = entries.get(key);
      if (value === undefined) return undefined;
      entries.delete(key);
      entries.set(key, value);
      return value;
    },
    set(key, value) {
      remove(key);
      entries.set(key, value);
      used += sizeOf(key, value);
      for (const oldest of entries.keys()) {
        if (used <= size) return;
        remove(oldest);
      }
    },
  };
}
