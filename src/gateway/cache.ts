export interface Cache<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
}

/** A map that keeps the most recently used entries, whose keys have at most `size` characters together. */
export function createCache<Value>(size: number): Cache<Value> {
  const entries = new Map<string, Value>();
  let used = 0;
  const remove = (key: string): void => {
    if (entries.delete(key)) used -= key.length;
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
      used += key.length;
      for (const oldest of entries.keys()) {
        if (used <= size) return;
        remove(oldest);
      }
    },
  };
}
