import { startCaddy } from '../harness/caddy.ts';
import { startNginxWith } from '../harness/nginx.ts';
import type { Proxy } from '../harness/nginx.ts';
import { startPostgres } from '../harness/postgres.ts';
import { prepareServer } from '../harness/server.ts';
import type { Server } from '../harness/server.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { createTestAccount } from '../../src/testing/account.ts';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import { NODE_ADDRESSES, readSample } from './samples.ts';
import type { NodeName } from './samples.ts';

/** Two nodes as the samples expect them, on one PostgreSQL. */
export interface Cluster extends AsyncDisposable {
  readonly nodes: Readonly<Record<NodeName, Server>>;
}

type Settings = Readonly<Record<string, string>>;

/** Starts the nodes `a` and `b`, with these settings beside those that they need behind the proxies of the samples. */
export async function startCluster(
  env: Settings = {},
  own: Partial<Record<NodeName, Settings>> = {},
): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  const media = stack.use(await createDataFolder());
  const start = async (name: NodeName): Promise<Server> => {
    const server = stack.use(
      await prepareServer({
        NODE_NAME: name,
        DATABASE_URL: postgres.url,
        AUTH_SECRET: 'a secret that both nodes share',
        MEDIA_DIR: media.path,
        TRUSTED_PROXIES: '127.0.0.1',
        ADMIN_TOKEN: 'token-of-the-operators',
        ...env,
        ...own[name],
      }),
    );
    await server.start();
    return server;
  };
  const nodes = { a: await start('a'), b: await start('b') };
  const owned = stack.move();
  return { nodes, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Returns the addresses in the samples with those that replace them. */
export const addressesOf = (a: number, b: number): Record<string, string> => ({
  [NODE_ADDRESSES.a]: `127.0.0.1:${a}`,
  [NODE_ADDRESSES.b]: `127.0.0.1:${b}`,
});

/** Returns nginx/parley.conf, listening on this port only. */
const nginxDirectives = (port: number, a: number, b: number): string =>
  readSample('nginx/parley.conf', {
    'listen 80 ': `listen 127.0.0.1:${port} `,
    '/etc/nginx/parley.d/*.conf': '/nonexistent/*.conf',
    ...addressesOf(a, b),
  });

/** Starts the proxies of the samples in front of nodes on two ports. */
export const PROXIES = {
  nginx: (a, b) => startNginxWith((port) => nginxDirectives(port, a, b)),
  caddy: (a, b) => startCaddy(readSample('caddy/Caddyfile', addressesOf(a, b))),
} as const satisfies Record<string, (a: number, b: number) => Promise<Proxy>>;

/** Creates two accounts with a conversation through a proxy. */
export async function createConversationOf(url: string) {
  const graphql = createGraphqlClient(url);
  const [ann, bob] = [await createTestAccount(url, graphql), await createTestAccount(url, graphql)];
  const circle = await createCircle(ann, bob);
  return { ann, bob, conversation: await createConversation(ann, circle, bob) };
}

interface Engine {
  readonly id: string;
}

/** Returns the id of a legacy client's Engine.IO session, which begins with the name of its node. */
export const sidOf = (client: { readonly socket: unknown }): string =>
  (client.socket as { io: { engine: Engine } }).io.engine.id;
