import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { requireForStartup } from '../lib/startup-error.ts';
import type { Logger } from '../log.ts';
import { resolveMediaDir } from '../services/data-dir.ts';
import { createFolderStorage } from '../services/media-storage-fs.ts';
import { createS3Storage } from '../services/media-storage-s3.ts';
import type { MediaStorage } from '../services/media-storage.ts';
import { S3Client } from '../services/s3-client.ts';
import type { WallClock } from '../services/wall-clock.ts';

export interface MediaStorageOptions {
  readonly config: Config;
  readonly dataDir: string | undefined;
  readonly databaseKind: Database['kind'];
  readonly clock: Pick<WallClock, 'now'>;
  readonly log: Logger;
  readonly stack: AsyncDisposableStack;
}

/** Opens the configured storage of media. The stack closes it. */
export async function openMediaStorage({
  config,
  dataDir,
  databaseKind,
  clock,
  log,
  stack,
}: MediaStorageOptions): Promise<MediaStorage> {
  const { MEDIA_S3_BUCKET: bucket } = config;
  if (bucket !== undefined)
    return stack.use(
      await requireForStartup(
        `Cannot store media in the bucket ${bucket} (MEDIA_S3_BUCKET)`,
        createS3Storage({
          client: new S3Client({
            bucket,
            log,
            now: () => clock.now(),
            endpoint: config.MEDIA_S3_ENDPOINT ?? '',
            region: config.MEDIA_S3_REGION,
            accessKeyId: config.MEDIA_S3_ACCESS_KEY_ID ?? '',
            secretAccessKey: config.MEDIA_S3_SECRET_ACCESS_KEY ?? '',
          }),
          spoolDir: await resolveMediaDir(undefined, stack),
        }),
      ),
    );
  const dir = config.MEDIA_DIR ?? (await resolveMediaDir(dataDir, stack));
  const isShared = databaseKind === 'postgres';
  return stack.use(
    await requireForStartup(`Cannot store media in ${dir} (MEDIA_DIR)`, createFolderStorage(dir, isShared)),
  );
}
