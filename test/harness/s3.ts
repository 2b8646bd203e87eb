import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import S3rver from '@20minutes/s3rver';
import AwsAccount from '@20minutes/s3rver/lib/models/account.js';
import type { S3Settings } from '../../src/services/s3-client.ts';

const BUCKET = 'media';

/** The account of all servers of this process. */
const account = AwsAccount.DUMMY_ACCOUNT;

/** A server of the S3 protocol with an empty bucket, which checks signatures. */
export interface S3Server extends AsyncDisposable {
  readonly settings: S3Settings;
  /** The same settings as variables of the environment. */
  readonly env: Readonly<Record<string, string>>;
  listObjects(): Promise<string[]>;
  /** Accepts another access key, until it is disposed of. */
  addKey(id: string, secret: string): Disposable;
  /** Refuses the access key of the settings, until it is disposed of. */
  suspendFirstKey(): Disposable;
}

export async function startS3(): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'parley-s3-'));
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    vhostBuckets: false,
    configureBuckets: [{ name: BUCKET }],
  });
  const { port } = await server.run();
  const settings: S3Settings = {
    endpoint: `http://127.0.0.1:${port}`,
    bucket: BUCKET,
    region: 'us-east-1',
    accessKeyId: 'S3RVER',
    secretAccessKey: 'S3RVER',
  };
  return {
    settings,
    env: {
      MEDIA_S3_ENDPOINT: settings.endpoint,
      MEDIA_S3_BUCKET: settings.bucket,
      MEDIA_S3_ACCESS_KEY_ID: settings.accessKeyId,
      MEDIA_S3_SECRET_ACCESS_KEY: settings.secretAccessKey,
    },
    async listObjects() {
      const names = await readdir(join(directory, BUCKET), { recursive: true });
      return names.flatMap((name) => /([^/]+)\._S3rver_object$/.exec(name)?.[1] ?? []);
    },
    addKey(id, secret) {
      account.createKeyPair(id, secret);
      return { [Symbol.dispose]: () => account.revokeAccessKey(id) };
    },
    suspendFirstKey() {
      account.revokeAccessKey(settings.accessKeyId);
      return {
        [Symbol.dispose]: () => account.createKeyPair(settings.accessKeyId, settings.secretAccessKey),
      };
    },
    async [Symbol.asyncDispose]() {
      server.httpServer.closeAllConnections();
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}
