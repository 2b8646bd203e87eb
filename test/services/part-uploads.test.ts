import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { setPartUpload, startUpload } from '../../src/db/uploads.ts';
import { createS3Storage } from '../../src/services/media-storage-s3.ts';
import { sweep } from '../../src/services/retention.ts';
import { S3Client } from '../../src/services/s3-client.ts';
import { createTestDeps } from '../harness/deps.ts';
import { startS3 } from '../harness/s3.ts';

test('parts of an upload that is not finished are removed after a day, once the bucket is available', async () => {
  await using server = await startS3();
  await using deps = await createTestDeps();
  const client = new S3Client({ ...server.settings, now: () => Date.now(), log: deps.log });
  const spoolDir = await mkdtemp(join(tmpdir(), 'parley-media-'));
  await using mediaStorage = await createS3Storage({ client, spoolDir });
  const listNames = () => deps.db.selectFrom('unfinishedUploads').select('storageName').execute();
  const name = crypto.randomUUID();
  await startUpload(deps.db, name);
  const id = await mediaStorage.partUploads?.start(name);
  await setPartUpload(deps.db, name, id ?? '');
  await sweep({ ...deps, mediaStorage });
  expect(await server.listPartUploads()).toEqual([id]);
  await sql`update unfinished_uploads set started_at = started_at - interval '3 days'`.execute(deps.db);
  const outage = server.suspendFirstKey();
  await sweep({ ...deps, mediaStorage });
  expect([await server.listPartUploads(), await listNames()]).toEqual([[id], [{ storageName: name }]]);
  outage[Symbol.dispose]();
  await sweep({ ...deps, mediaStorage });
  // A part may still have been arriving.
  expect([await server.listPartUploads(), await listNames()]).toEqual([[], [{ storageName: name }]]);
  await sweep({ ...deps, mediaStorage });
  expect([await server.listPartUploads(), await listNames()]).toEqual([[], []]);
  await rm(spoolDir, { recursive: true });
});
