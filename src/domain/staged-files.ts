import type { ActorRef } from '../actor.ts';
import type { Media } from '../db/tables.ts';
import { startUpload as recordStart } from '../db/uploads.ts';
import type { Deps } from './deps.ts';
import { discard, recordStoredFile } from './media.ts';
import type { FileTarget } from './media.ts';

/** A file whose bytes are all in the storage, where its client can still change them. */
export interface StagedFile extends Required<FileTarget> {
  readonly size: number;
  readonly storageName: string;
}

/**
 * Records a staged file as that of its media, under a new name. `confirm` marks the staged file as unused. Throws NOT_FOUND
 * if there is no such file, INVALID_INPUT if it has another size, and as `recordStoredFile`; then the staged file stays.
 * Clients repeat requests whose connection was lost while a large file is copied: they wait for the same copy.
 */
export const publishStagedFile = (deps: Deps, actor: ActorRef, staged: StagedFile): Promise<Media> =>
  deps.publications.run(staged.storageName, () => publish(deps, actor, staged));

async function publish(deps: Deps, actor: ActorRef, staged: StagedFile): Promise<Media> {
  let adoptedName: string | undefined;
  const adopting = deps.mediaStorage.adopt(staged.storageName, staged.size, async (name, partUploadId) => {
    await recordStart(deps.db, name, partUploadId);
    adoptedName = name;
  });
  const stored = await adopting.catch(async (error: unknown) => {
    if (adoptedName !== undefined) await discard(deps, adoptedName).catch(() => undefined);
    throw error;
  });
  return recordStoredFile(deps, actor, staged, stored);
}
