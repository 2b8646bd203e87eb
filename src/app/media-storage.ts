import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { requireForStartup } from '../lib/startup-error.ts';
import { resolveMediaDir } from '../services/data-dir.ts';
import { createFolderStorage } from '../services/media-storage-fs.ts';
import type { MediaStorage } from '../services/media-storage.ts';

/** Opens the configured storage of media. The stack closes it. */
export async function openMediaStorage(
  config: Config,
  dataDir: string | undefined,
  databaseKind: Database['kind'],
  stack: AsyncDisposableStack,
): Promise<MediaStorage> {
  const dir = config.MEDIA_DIR ?? (await resolveMediaDir(dataDir, stack));
  const isShared = databaseKind === 'postgres';
  return stack.use(
    await requireForStartup(`Cannot store media in ${dir} (MEDIA_DIR)`, createFolderStorage(dir, isShared)),
  );
}
