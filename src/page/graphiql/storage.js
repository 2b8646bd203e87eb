/** Wraps the storage of GraphiQL, so that no headers are stored, which have tokens: its history stores those of each run. */
export function createStorage(storage) {
  return {
    getItem: (key) => storage.getItem(key),
    setItem: (key, value) => storage.setItem(key, withoutHeaders(value)),
    removeItem: (key) => storage.removeItem(key),
    clear: () => storage.clear(),
    get length() {
      return storage.length;
    },
  };
}

/** Removes headers from a value that is JSON. */
function withoutHeaders(value) {
  try {
    return JSON.stringify(JSON.parse(value, (key, inner) => (key === 'headers' ? undefined : inner)));
  } catch {
    return value;
  }
}
