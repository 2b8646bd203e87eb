import type { Deps } from '../../src/domain/deps.ts';

/** Calls back once a file was copied to be published, before it is recorded. */
export const afterCopy = (deps: Deps, callback: () => Promise<unknown>): Deps => ({
  ...deps,
  mediaStorage: {
    ...deps.mediaStorage,
    async adopt(...args) {
      const stored = await deps.mediaStorage.adopt(...args);
      await callback();
      return stored;
    },
  },
});
