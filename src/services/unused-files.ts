import * as rows from '../db/media.ts';
import type { Db } from '../db/database.ts';
import type { Logger } from '../log.ts';
import type { MediaStorage } from './media-storage-fs.ts';

const BATCH = 100;

/**
 * Removes stored files that no media names any more: of messages, conversations and accounts that were deleted, and
 * files that were replaced. What cannot be removed now is tried again by the next caller.
 */
export async function removeUnusedFiles(deps: {
  readonly db: Db;
  readonly storage: MediaStorage;
  readonly log: Logger;
}): Promise<void> {
  try {
    for (;;) {
      const names = await rows.findUnusedFiles(deps.db, BATCH);
      if (names.length === 0) return;
      await deps.storage.remove(names);
      await rows.forgetUnusedFiles(deps.db, names);
    }
  } catch (error) {
    deps.log.warn({ err: error }, 'could not remove unused files; trying again later');
  }
}
