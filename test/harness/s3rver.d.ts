declare module '@20minutes/s3rver' {
  import type { Server } from 'node:http';

  interface Options {
    address: string;
    port: number;
    silent: boolean;
    directory: string;
    vhostBuckets: boolean;
    configureBuckets: readonly { name: string; configs?: readonly string[] }[];
  }
  interface Context {
    readonly method: string;
    readonly path: string;
    params: Readonly<Record<string, string | undefined>>;
    readonly query: Readonly<Record<string, string | undefined>>;
    status: number;
    body: unknown;
  }
  type Middleware = (context: Context, next: () => Promise<void>) => Promise<void> | void;
  export default class S3rver {
    constructor(options: Options);
    run(): Promise<{ port: number }>;
    close(): Promise<void>;
    readonly httpServer: Server;
    /** Of Koa; the last one routes. */
    readonly middleware: Middleware[];
  }
}

declare module '@20minutes/s3rver/lib/models/account.js' {
  interface Account {
    createKeyPair(id: string, secret: string): void;
    revokeAccessKey(id: string): void;
  }
  const AwsAccount: { readonly DUMMY_ACCOUNT: Account };
  export default AwsAccount;
}

declare module '@20minutes/s3rver/lib/middleware/authentication.js' {
  import type { Middleware } from '@20minutes/s3rver';

  export default function createAuthentication(): Middleware;
}
