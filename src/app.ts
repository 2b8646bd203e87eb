import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import type { BridgeDeps } from './bridge/deps.ts';
import type { BridgeLimits } from './bridge/limits.ts';
import { createBridge } from './bridge/server.ts';
import { hostOf } from './config.ts';
import type { Config } from './config.ts';
import { resolveMediaDir, loadOrCreateSecret } from './services/data-dir.ts';
import { openDatabase, pingDatabase } from './db/database.ts';
import type { Database } from './db/database.ts';
import { fillEmailKeys } from './db/email-keys.ts';
import { createEventLog } from './db/event-log.ts';
import * as accounts from './domain/accounts.ts';
import { createBatchedReads } from './db/batched-reads.ts';
import { findConversationsById } from './domain/conversations.ts';
import { createChannelUsage } from './services/channel-usage.ts';
import type { ChannelUsage } from './services/channel-usage.ts';
import { seedDemo } from './domain/demo.ts';
import { DEMO_PASSWORD, findDemoAccounts, isDemoAllowed } from './domain/demo-policy.ts';
import type { Deps } from './domain/deps.ts';
import { createRateLimits } from './services/rate-limits.ts';
import * as media from './domain/media.ts';
import { createPasswords } from './services/passwords.ts';
import { createPresence } from './services/presence.ts';
import { startRetention } from './services/retention.ts';
import { followSession, openSession, renewSession } from './domain/sessions.ts';
import { createSendBatcher } from './domain/send-batch.ts';
import { createFolderStorage } from './services/media-storage-fs.ts';
import { createTokens } from './services/tokens.ts';
import type { JwksSettings } from './services/tokens.ts';
import { createTypingPublisher } from './services/typing-publisher.ts';
import { createBus } from './events/bus.ts';
import type { Bus, Listener } from './events/bus.ts';
import { connectCluster } from './events/cluster/cluster.ts';
import type { Cluster } from './events/cluster/cluster.ts';
import { openRedisNotifier } from './events/cluster/redis.ts';
import { openStream } from './events/stream.ts';
import { createTails } from './events/tail.ts';
import { findToken, findTokenInRequest, firstOf } from './gateway/bearer-token.ts';
import { createEngine } from './gateway/execution/engine.ts';
import { createFormatError } from './gateway/execution/format-error.ts';
import { createExecutor } from './gateway/execution/executor.ts';
import { createGraphqlHttp } from './gateway/http/graphql.ts';
import { createFanOut } from './gateway/execution/fan-out.ts';
import { createOperationLog } from './gateway/execution/operation-log.ts';
import { createHealth } from './gateway/http/health.ts';
import type { HealthOptions } from './gateway/http/health.ts';
import { createHttpServer, timeoutsFor } from './gateway/http/server.ts';
import { createMetrics } from './gateway/metrics.ts';
import type { Metrics } from './gateway/metrics.ts';
import { createCors } from './gateway/http/cors.ts';
import type { Cors } from './gateway/http/cors.ts';
import { pageRoutes } from './gateway/http/static-files.ts';
import { readPersistedOperations } from './gateway/execution/persisted-operations.ts';
import type { Ports } from './gateway/ports.ts';
import { createRequestedDocuments } from './gateway/execution/requested-documents.ts';
import type { Route } from './gateway/http/router.ts';
import { mediaRoutes } from './gateway/http/media.ts';
import { createGraphqlSockets } from './gateway/websocket/server.ts';
import type { Logger } from './log.ts';
import { schema } from './schema/index.ts';
import { requireForStartup } from './lib/startup-error.ts';
import { withTimeout } from './lib/timeout.ts';

/** How long connections may take to end by themselves before they are cut. */
const DRAIN_MS = 2_000;

export interface AppOptions {
  readonly config: Config;
  readonly log: Logger;
  /** An open database to use; the caller closes it. Without it the app opens, and closes, the configured one. */
  readonly database?: Database | undefined;
  /** Other bounds for legacy clients than the usual ones. */
  readonly legacyLimits?: Partial<BridgeLimits> | undefined;
  /** log2 of scrypt's N for new password hashes; tests lower it. */
  readonly passwordCost?: number | undefined;
}

/** A running gateway. Disposing of it drains it: streams and connections are told why they end. */
export interface App extends AsyncDisposable {
  /** Where it serves, as in `http://127.0.0.1:4000`. */
  readonly url: string;
  readonly address: string;
  readonly port: number;
  readonly nodeId: string;
  /** What it stores in, without secrets, as in `embedded (./data)`. */
  readonly database: string;
  readonly deps: Deps;
  /** The e-mails of the demo accounts that have their published password, and whether they can be used. */
  readonly demo: {
    readonly accounts: readonly string[];
    readonly password: string;
    readonly isOpen: boolean;
  };
}

/** Builds everything, in start order, and serves. What was opened is closed in reverse, also when a later step fails. */
export async function startApp(options: AppOptions): Promise<App> {
  await using stack = new AsyncDisposableStack();
  const metrics = createMetrics();
  // Looked at first: a port that is taken must not cost the making of a database.
  await bindOnce(options.config);
  const opened = await openDeps(options, metrics, stack);
  const { deps } = opened;
  const created = await seedDemo(deps);
  const server = await serve({ ...opened, legacyLimits: options.legacyLimits ?? {} }, metrics, stack);
  const owned = stack.move();
  const { config } = options;
  const database =
    config.DATABASE_URL === undefined
      ? `embedded (${config.DATA_DIR})`
      : `postgres (${placeIn(config.DATABASE_URL).trim()})`;
  return {
    ...server,
    nodeId: opened.nodeId,
    database,
    deps,
    demo: { accounts: created ?? opened.demo, password: DEMO_PASSWORD, isOpen: isDemoAllowed(config) },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Opened {
  readonly deps: Deps;
  readonly nodeId: string;
  /** The e-mails of the demo accounts that were there already, with their published password. */
  readonly demo: readonly string[];
  readonly uses: ChannelUsage;
  readonly health: Pick<HealthOptions, 'pingDatabase' | 'hearsNodes'>;
}

interface Served extends Opened {
  readonly legacyLimits: Partial<BridgeLimits>;
}

async function openDeps(
  { config, log, database: given, passwordCost }: AppOptions,
  metrics: Metrics,
  stack: AsyncDisposableStack,
): Promise<Opened> {
  const dataDir = config.DATA_DIR === 'memory' ? undefined : config.DATA_DIR;
  const database = given ?? stack.use(await openOwnDatabase(config, dataDir, log));
  const { db, epoch, kind } = database;
  await fillEmailKeys(db);
  const bus = createBus(log);
  const batchedReads = createBatchedReads(db);
  const tails = createTails({
    eventLog: { ...createEventLog(db), readRange: batchedReads.readRange },
    bus,
    log,
    onEvent: ({ at }) => metrics.deliveryDelay.observe(Math.max(0, Date.now() - Date.parse(at)) / 1000),
  });
  metrics.beforeScrape(() => metrics.logLag.set(tails.lag()));
  const nodeId = randomUUID();
  const typing = stack.use(createTypingPublisher({ db, bus }));
  const presence = stack.use(
    await createPresence({
      db,
      bus,
      log,
      nodeId,
      graceMs: config.PRESENCE_GRACE_MS,
      isOnlyProcess: kind === 'pglite',
      onLastConnection: typing.endAll,
    }),
  );
  const tokens = createTokens({
    secret:
      config.AUTH_SECRET ?? (await requireForStartup('Cannot sign tokens', loadOrCreateSecret(dataDir))),
    deviceSecret: config.AUTH_DEVICE_SECRET,
    jwks: jwksOf(config),
  });
  const folder = config.MEDIA_DIR ?? (await resolveMediaDir(dataDir, stack));
  const storage = stack.use(
    await requireForStartup(
      `Cannot keep media in ${folder} (MEDIA_DIR)`,
      createFolderStorage(folder, kind === 'postgres'),
    ),
  );
  const passwords = createPasswords({ cost: passwordCost });
  const demoUsers = await findDemoAccounts({ db, passwords });
  const rateLimits = createRateLimits({ enabled: config.RATE_LIMITS === 'on' });
  stack.use(startRetention({ db, config, mediaStorage: storage, log }));
  const uses = stack.use(createChannelUsage({ db, log }));
  const cluster = await joinCluster(config, database, { bus: hearing(bus, typing.onReceived), tails, log });
  if (cluster !== undefined) stack.use(cluster);
  return {
    nodeId,
    demo: demoUsers.map(({ email }) => email),
    deps: {
      db,
      bus,
      tails,
      epoch,
      config,
      log,
      tokens,
      batchedReads,
      presence,
      mediaStorage: storage,
      rateLimits,
      passwords,
      lockedUsers: new Set(isDemoAllowed(config) ? [] : demoUsers.map(({ id }) => id)),
      sendBatcher: createSendBatcher({ db, bus }),
      typing,
    },
    uses,
    health: {
      pingDatabase: () => pingDatabase(db),
      hearsNodes: () => cluster?.listening !== false,
    },
  };
}

/** The bus for other nodes, whose notices one more listener receives first. */
const hearing = (bus: Bus, listener: Listener): Bus => ({
  ...bus,
  receive(notice) {
    listener(notice);
    bus.receive(notice);
  },
});

/** Nodes that share a database hear of each other through it, or through Redis. */
async function joinCluster(
  { REDIS_URL }: Config,
  { url }: Database,
  parts: Pick<Deps, 'bus' | 'tails' | 'log'>,
): Promise<Cluster | undefined> {
  if (url === undefined) return undefined;
  if (REDIS_URL === undefined) return connectCluster({ ...parts, url });
  return requireForStartup(
    `Cannot connect to Redis${placeIn(REDIS_URL)} (REDIS_URL)`,
    connectCluster({ ...parts, url: REDIS_URL, open: openRedisNotifier }),
  );
}

async function serve(
  { deps, uses, health: checks, legacyLimits }: Served,
  metrics: Metrics,
  stack: AsyncDisposableStack,
): Promise<Pick<App, 'url' | 'address' | 'port'>> {
  const { config, log } = deps;
  const ports = await createPorts(deps, metrics);
  const cors = createCors(config.CORS_ORIGINS);
  const bridge = createBridge({ ...bridgeDeps(ports, cors), usage: uses, limits: legacyLimits });
  const graphqlHttp = createGraphqlHttp(ports);
  const graphqlSockets = createGraphqlSockets(ports);
  const health = createHealth({ ...checks, log });
  const routes: Route[] = [
    ...pageRoutes(),
    {
      path: '/graphql',
      methods: ['GET', 'HEAD', 'POST'],
      handle: graphqlHttp.handle,
      upgrade: graphqlSockets.handleUpgrade,
    },
    { path: '/socket.io/', handle: bridge.handleRequest, upgrade: bridge.handleUpgrade, ownCors: true },
    ...mediaRoutes(ports),
    ...health.routes,
    { path: '/metrics', methods: ['GET', 'HEAD'], handle: metrics.handle },
    { path: '/legacy-report', methods: ['GET', 'HEAD'], handle: bridge.handleReport },
  ];
  const http = createHttpServer(
    routes,
    cors,
    timeoutsFor(config.KEEP_ALIVE_MS, config.MAX_UPLOAD_BYTES),
    log,
  );
  await listen(http.server, config);
  stack.defer(async () => {
    health.drain();
    const closed = http.close();
    const drained = withTimeout(DRAIN_MS, closed).catch(() => undefined);
    graphqlHttp.close('DRAINING');
    graphqlSockets.close('DRAINING');
    await bridge.close();
    await drained;
    http.destroyConnections();
    await closed;
  });
  const { address, port } = http.server.address() as AddressInfo;
  return { url: urlOf(http.server, hostOf(config)), address, port };
}

async function createPorts(deps: Deps, metrics: Metrics): Promise<Ports> {
  const formatError = createFormatError(deps.log);
  const engine = createEngine({
    schema,
    fanOut: createFanOut({ ...deps, metrics }),
    formatError,
    introspection: deps.config.INTROSPECTION === 'on',
    operationLog: createOperationLog(deps.log, metrics),
  });
  const { PERSISTED_OPERATIONS: path, OPERATIONS } = deps.config;
  const persisted = path === undefined ? undefined : await readPersistedOperations(path, engine);
  return {
    deps,
    engine,
    documents: createRequestedDocuments({ engine, persisted, only: OPERATIONS === 'persisted' }),
    formatError,
    metrics,
    authenticate: (token) => accounts.authenticate(deps, token),
    openSession: (token) => openSession(deps, token),
    renewSession: (former, token) => renewSession(deps, former, token),
    uploadMedia: (actor, upload) => media.uploadMedia(deps, actor, upload),
    openMedia: (actor, id) => media.openMedia(deps, actor, id),
  };
}

function bridgeDeps({ deps, engine, metrics, authenticate }: Ports, cors: Cors): Omit<BridgeDeps, 'usage'> {
  const { config, log, tails, epoch, presence } = deps;
  return {
    config,
    log,
    metrics,
    tails,
    epoch,
    presence,
    authenticate,
    findToken: (request, auth) => firstOf([findToken(auth), findTokenInRequest(request)]),
    openStream: (request) => openStream(deps, request),
    conversationExists: async (id) => (await findConversationsById(deps, [id])).size > 0,
    executor: createExecutor(deps, engine),
    followSession: (session, onEnd) => followSession(deps, session, onEnd),
    originAllowed: cors.allowed,
  };
}

function openOwnDatabase(
  { DATABASE_URL: url }: Config,
  dir: string | undefined,
  log: Logger,
): Promise<Database> {
  if (url === undefined)
    return requireForStartup(
      `Cannot open the embedded database in ${dir ?? 'memory'} (DATA_DIR)`,
      openDatabase({ kind: 'pglite', dir }, log),
    );
  return requireForStartup(
    `Cannot open the database${placeIn(url)} (DATABASE_URL)`,
    openDatabase({ kind: 'postgres', url }, log),
  );
}

/** Where a URL leads, without the secrets in it. */
function placeIn(url: string): string {
  if (!URL.canParse(url)) return '';
  const { host, pathname } = new URL(url);
  return host === '' ? '' : ` ${pathname.slice(1)} at ${host}`.replace(/ +/g, ' ');
}

function jwksOf({
  AUTH_JWKS_URL: url,
  AUTH_ISSUER: issuer,
  AUTH_AUDIENCE: audience,
}: Config): JwksSettings | undefined {
  return url === undefined || issuer === undefined ? undefined : { url, issuer, audience };
}

/** Throws when the address is not to be had. */
async function bindOnce(config: Config): Promise<void> {
  const server = createServer();
  await listen(server, config);
  server.close();
  await once(server, 'close');
}

async function listen(server: Server, config: Config): Promise<void> {
  const [host, port] = [hostOf(config), config.PORT];
  server.listen(port, host);
  await requireForStartup(`Cannot listen on ${host}, port ${port} (HOST, PORT)`, once(server, 'listening'));
}

const ANY_ADDRESS: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  // The address of any interface is none that a browser opens.
  const reached = ANY_ADDRESS[host] ?? host;
  const name = reached.includes(':') ? `[${reached}]` : reached;
  return `http://${name}:${port}`;
}
