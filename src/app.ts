import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { drain } from './app/drain.ts';
import { operatorRoutes } from './app/operator-routes.ts';
import { createBridgePorts, createPorts } from './app/ports.ts';
import { describeUrl, openServices } from './app/services.ts';
import type { Services } from './app/services.ts';
import type { ConnectionLimits } from './bridge/connection-limits.ts';
import { createBridge } from './bridge/server.ts';
import { hostOf } from './config.ts';
import type { Config } from './config.ts';
import type { Database } from './db/database.ts';
import { DEMO_PASSWORD, isDemoAllowed } from './domain/demo-policy.ts';
import { seedDemo } from './domain/demo.ts';
import type { Deps } from './domain/deps.ts';
import { createHttpPolicy } from './gateway/http/policy.ts';
import { createGraphqlHttp } from './gateway/http/graphql.ts';
import { createHealth } from './gateway/http/health.ts';
import { mediaRoutes } from './gateway/http/media.ts';
import { isMultipart } from './gateway/http/multipart.ts';
import type { Route } from './gateway/http/router.ts';
import { createHttpServer, timeoutsFor } from './gateway/http/server.ts';
import { pageRoutes } from './gateway/http/static-files.ts';
import { createMetrics } from './gateway/metrics.ts';
import type { Metrics } from './gateway/metrics.ts';
import { createGraphqlSockets } from './gateway/websocket/server.ts';
import { requireForStartup } from './lib/startup-error.ts';
import { nodeFields } from './log.ts';
import type { Logger } from './log.ts';
import type { OperationBudgets } from './services/operation-limits.ts';
import { VERSION } from './version.ts';

export interface AppOptions {
  readonly config: Config;
  readonly log: Logger;
  /** The id of the node, which the lines of `log` have (`nodeFields`). Default: a new one, which is added to them. */
  readonly nodeId?: string | undefined;
  /** An open database to use; the caller closes it. Default: the configured one, opened and closed by the app. */
  readonly database?: Database | undefined;
  /** Overrides of the default limits of legacy clients. */
  readonly legacyLimits?: Partial<ConnectionLimits> | undefined;
  /** Memory of Argon2id for new password hashes, in KiB; tests lower it. */
  readonly passwordMemoryKib?: number | undefined;
  /** Overrides the budgets of operations. */
  readonly operationBudgets?: OperationBudgets | undefined;
}

/** A running gateway. Disposal drains it: streams and connections end with the reason DRAINING. */
export interface App extends AsyncDisposable {
  /** Base URL, for example `http://127.0.0.1:4000`. */
  readonly url: string;
  readonly address: string;
  readonly port: number;
  readonly nodeId: string;
  /** Description of the database without secrets, for example `embedded (./data)`. */
  readonly database: string;
  readonly deps: Deps;
  /** E-mails of the demo accounts that have their published password, and whether they may log in. */
  readonly demo: {
    readonly accounts: readonly string[];
    readonly password: string;
    readonly isLoginAllowed: boolean;
  };
}

/** Builds and starts the gateway. If a step fails, closes what was opened, in reverse order, and throws. */
export async function startApp(options: AppOptions): Promise<App> {
  const { config } = options;
  await using stack = new AsyncDisposableStack();
  const metrics = createMetrics(VERSION);
  // Before the database: an unavailable port must not leave a new database behind.
  await requireFreePort(config);
  const nodeId = options.nodeId ?? randomUUID();
  const log = options.nodeId === undefined ? options.log.child(nodeFields(nodeId, config)) : options.log;
  const services = await openServices({ ...options, log, nodeId, metrics, stack });
  const { deps, demoEmails } = services;
  const seededEmails = await seedDemo(deps);
  const server = await serve(services, options.legacyLimits ?? {}, metrics, stack);
  const owned = stack.move();
  return {
    ...server,
    nodeId,
    database: describeDatabase(config),
    deps,
    demo: {
      accounts: seededEmails ?? demoEmails,
      password: DEMO_PASSWORD,
      isLoginAllowed: isDemoAllowed(config),
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function serve(
  { deps, nodeId, channelUsage, healthChecks }: Services,
  legacyLimits: Partial<ConnectionLimits>,
  metrics: Metrics,
  stack: AsyncDisposableStack,
): Promise<Pick<App, 'url' | 'address' | 'port'>> {
  const { config, log } = deps;
  const ports = await createPorts(deps, metrics);
  const policy = createHttpPolicy(config, (request) =>
    deps.securityLog.record('operator refused', { address: ports.addressOf(request) }),
  );
  const bridge = createBridge({
    ...createBridgePorts(ports, policy.cors),
    usage: channelUsage,
    limits: legacyLimits,
  });
  const graphqlHttp = createGraphqlHttp(ports, policy.cors);
  const graphqlSockets = createGraphqlSockets(ports);
  const health = createHealth({ ...healthChecks, log });
  metrics.beforeScrape(async () => metrics.ready.set((await health.isReady()) ? 1 : 0));
  const routes: Route[] = [
    ...pageRoutes(),
    {
      path: '/graphql',
      methods: ['GET', 'HEAD', 'POST'],
      handle: graphqlHttp.handle,
      isUpload: isMultipart,
      upgrade: graphqlSockets.handleUpgrade,
    },
    {
      path: '/socket.io/',
      handle: bridge.handleRequest,
      upgrade: bridge.handleUpgrade,
      isOfSession: bridge.isOfSession,
      ownCors: true,
      isEmbeddable: true,
    },
    ...mediaRoutes(ports),
    ...health.routes,
    ...operatorRoutes(ports, nodeId),
    { path: '/metrics', methods: ['GET', 'HEAD'], handle: metrics.handle, isForOperators: true },
    { path: '/legacy-report', methods: ['GET', 'HEAD'], handle: bridge.handleReport, isForOperators: true },
  ];
  const http = createHttpServer({
    routes,
    policy,
    connectionSlots: ports.connectionSlots,
    turnClock: ports.turnClock,
    inboundLedgers: ports.ledgers.inbound,
    onResponse: (route, status) => metrics.httpResponses.inc({ route, status: classOf(status) }),
    timeouts: timeoutsFor(config.KEEP_ALIVE_MS, config.MAX_UPLOAD_BYTES),
    log,
  });
  await listen(http.server, config);
  stack.defer(() => drain({ health, http, graphqlHttp, graphqlSockets, bridge }, config));
  const { address, port } = http.server.address() as AddressInfo;
  return { url: urlOf(hostOf(config), port), address, port };
}

/** Returns the class of an HTTP status, for example `4xx`; `none` for a connection that ended before the response. */
const classOf = (status: number | undefined): string =>
  status === undefined ? 'none' : `${Math.floor(status / 100)}xx`;

/** Connections that the system accepts while the event loop is busy: many clients come from a node that stops. */
const LISTEN_BACKLOG = 4_096;

/** Throws a `StartError` if the address cannot be listened on. */
async function requireFreePort(config: Config): Promise<void> {
  const server = createServer();
  await listen(server, config);
  server.close();
  await once(server, 'close');
}

async function listen(server: Server, config: Config): Promise<void> {
  const [host, port] = [hostOf(config), config.PORT];
  server.listen({ port, host, backlog: LISTEN_BACKLOG });
  await requireForStartup(`Cannot listen on ${host}, port ${port} (HOST, PORT)`, once(server, 'listening'));
}

/** Browsers cannot open a wildcard address. */
const LOOPBACK_OF_WILDCARD: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

function urlOf(host: string, port: number): string {
  const reachable = LOOPBACK_OF_WILDCARD[host] ?? host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

const describeDatabase = ({ DATABASE_URL: url, DATA_DIR }: Config): string =>
  url === undefined ? `embedded (${DATA_DIR})` : `postgres (${describeUrl(url).trim()})`;
