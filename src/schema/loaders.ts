import type { Deps } from '../domain/deps.ts';

/** Batches the reads of one operation: what many fields ask for at the same moment is read in one statement. */
export interface Loaders {
  readonly deps: () => Deps;
}

/** The dependencies are asked for at each read, because an operation may be given a snapshot to read from. */
export function createLoaders(deps: () => Deps): Loaders {
  return { deps };
}
