import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import S3rver from '@20minutes/s3rver';
import type { Context, Middleware } from '@20minutes/s3rver';
import createAuthentication from '@20minutes/s3rver/lib/middleware/authentication.js';
import AwsAccount from '@20minutes/s3rver/lib/models/account.js';
import { Semaphore } from '../../src/lib/semaphore.ts';
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
  /** Returns the ids of uploads in parts that are neither completed nor aborted. */
  listPartUploads(): Promise<string[]>;
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
  const partsDir = join(directory, BUCKET, '._S3rver_uploads');
  server.middleware.splice(-1, 0, createPartMethods(partsDir));
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
    listPartUploads: () => readdir(partsDir).catch(() => []),
    async [Symbol.asyncDispose]() {
      server.httpServer.closeAllConnections();
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}

const NO_SUCH_UPLOAD = '<Error><Code>NoSuchUpload</Code></Error>';

/**
 * Adds what s3rver lacks of uploads in parts: their list, their removal, and the refusal of what is about an unknown one. Requests
 * about one upload take turns: those of s3rver read files that the others remove.
 */
function createPartMethods(partsDir: string): Middleware {
  const authenticate = createAuthentication();
  const turns = new Map<string, Semaphore>();
  const respondInTurn: Middleware = async (context, next) => {
    const { uploadId = '' } = context.query;
    const [, bucket, key] = context.path.split('/');
    context.params = { bucket, key };
    const dir = join(partsDir, uploadId);
    const names = await readdir(dir).catch(() => undefined);
    if (names === undefined) return authenticate(context, () => respond(context, 404, NO_SUCH_UPLOAD));
    if (context.method === 'DELETE')
      return authenticate(context, async () => {
        await rm(dir, { recursive: true });
        await respond(context, 204, null);
      });
    if (context.method !== 'GET') return next();
    return authenticate(context, async () => respond(context, 200, await listParts(dir, names)));
  };
  return async (context, next) => {
    const { uploadId } = context.query;
    if (uploadId === undefined) return next();
    const turn = turns.get(uploadId) ?? new Semaphore(1);
    turns.set(uploadId, turn);
    await turn.run(async () => respondInTurn(context, next));
  };
}

async function respond(context: Context, status: number, body: string | null): Promise<void> {
  context.body = body;
  context.status = status;
}

async function listParts(dir: string, names: readonly string[]): Promise<string> {
  const parts = names
    .filter((name) => /^\d+$/.test(name) && names.includes(`${name}.md5`))
    .map(async (name) => {
      const { size } = await stat(join(dir, name));
      const md5 = await readFile(join(dir, `${name}.md5`), 'utf8');
      return `<Part><PartNumber>${name}</PartNumber><ETag>&quot;${md5}&quot;</ETag><Size>${size}</Size></Part>`;
    });
  return `<ListPartsResult>${(await Promise.all(parts)).join('')}</ListPartsResult>`;
}
