import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { drain } from './app/drain.ts';
import { createPorts } from './app/ports.ts';
import { describeUrl } from './app/database.ts';
import { openServices } from './app/services.ts';
import { ROUTE_GROUPS } from './app/route-groups.ts';
import type { RouteGroup } from './app/route-groups.ts';
import { createTransports } from './app/transports.ts';
import type { DemoActions, ServerOptions } from './app/transports.ts';
import type { ConnectionLimits } from './bridge/connection-limits.ts';
import { hostOf } from './config.ts';
import type { GraphQLSchema } from 'graphql';
import type { Config } from './config.ts';
import type { Database } from './db/database.ts';
import { DEMO_PASSWORD, isDemoAllowed } from './domain/demo-policy.ts';
import { seedDemo } from './domain/demo.ts';
import type { Deps } from './domain/deps.ts';
import { serveOnHost } from './gateway/http/host-server.ts';
import type { HostServer } from './gateway/http/host-server.ts';
import { createHttpServer } from './gateway/http/server.ts';
import type { PhoneOptions } from './gateway/http/phone-listener.ts';
import type { HttpDrain } from './gateway/http/server.ts';
import { createMetrics } from './gateway/metrics.ts';
import type { Authenticate } from './services/authenticate.ts';
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
  /** Authenticates tokens that the gateway did not issue. */
  readonly authenticate?: Authenticate | undefined;
  /** Default: the schema of the gateway. */
  readonly schema?: GraphQLSchema | undefined;
  /** Default: all. */
  readonly routes?: readonly RouteGroup[] | undefined;
  /** Overrides of the default limits of legacy clients. */
  readonly legacyLimits?: Partial<ConnectionLimits> | undefined;
  /** Memory of Argon2id for new password hashes, in KiB; tests lower it. */
  readonly passwordMemoryKib?: number | undefined;
  /** Restarts the gateway, for the demo on the page, where its accounts may log in. */
  readonly restart?: (() => void) | undefined;
  /** Where the demo on the page may open the gateway for a phone, where its accounts may log in. Default: nowhere. */
  readonly phone?: PhoneOptions | undefined;
  /** Overrides the budgets of operations. */
  readonly operationBudgets?: OperationBudgets | undefined;
}

/** A running gateway. Disposal drains it: streams and connections end with the reason DRAINING. */
export interface EmbeddedApp extends AsyncDisposable {
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

/** A gateway with a server of its own. */
export interface App extends EmbeddedApp {
  /** Base URL, for example `http://127.0.0.1:4000`. */
  readonly url: string;
  readonly address: string;
  readonly port: number;
}

/** Starts the gateway on HOST and PORT. If a step fails, closes what was opened, in reverse order, and throws. */
export async function startApp(options: AppOptions): Promise<App> {
  const { config } = options;
  // Before the database: an unavailable port must not leave a new database behind.
  await requireFreePort(config);
  return openApp(options, async (serverOptions) => {
    const http = createHttpServer(serverOptions);
    await listen(http.server, config);
    const { address, port } = http.server.address() as AddressInfo;
    return { http, url: urlOf(hostOf(config), port), address, port };
  });
}

/** Starts the gateway on a server of the host. Fails as `startApp` does. */
export async function embedApp(options: AppOptions, host: HostServer): Promise<EmbeddedApp> {
  return openApp(options, async (serverOptions) => ({ http: serveOnHost(host, serverOptions) }));
}

async function openApp<Server extends { readonly http: HttpDrain; readonly url?: string }>(
  options: AppOptions,
  serve: (serverOptions: ServerOptions) => Promise<Server>,
): Promise<EmbeddedApp & Omit<Server, 'http'>> {
  const { config, legacyLimits = {}, routes = ROUTE_GROUPS } = options;
  await using stack = new AsyncDisposableStack();
  const metrics = createMetrics(VERSION);
  const nodeId = options.nodeId ?? randomUUID();
  const log = options.nodeId === undefined ? options.log.child(nodeFields(nodeId, config)) : options.log;
  const services = await openServices({ ...options, log, nodeId, metrics, stack });
  const { deps } = services;
  const demoEmails = (await seedDemo(deps)) ?? services.demoEmails;
  const demo = {
    accounts: demoEmails,
    password: DEMO_PASSWORD,
    isLoginAllowed: isDemoAllowed(config),
  };
  const transports = createTransports(
    await createPorts(deps, nodeId, metrics, options.schema),
    { ...services, demoEmails },
    legacyLimits,
    metrics,
    demoActionsOf(options, demo),
  );
  const served = await serve(transports.serverOptions(routes));
  services.ownNode.url = served.url;
  const { http, ...server } = served;
  stack.defer(() => drain({ ...transports, http }, config));
  stack.defer(() => transports.phoneListener?.close());
  const owned = stack.move();
  return {
    ...server,
    nodeId,
    database: describeDatabase(config),
    deps,
    demo,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Returns what the demo may do, if it runs here: a restart must lose no data. */
function demoActionsOf(
  { restart, phone, config }: AppOptions,
  { accounts, isLoginAllowed }: EmbeddedApp['demo'],
): DemoActions {
  if (!isLoginAllowed || accounts.length === 0) return {};
  const isStored = config.DATABASE_URL !== undefined || config.DATA_DIR !== 'memory';
  return { phone, ...(isStored && { restart }) };
}

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
