import type { ConnectionLimits } from '../bridge/connection-limits.ts';
import { createBridge } from '../bridge/server.ts';
import type { Bridge } from '../bridge/server.ts';
import { isGraphiqlOn } from '../config.ts';
import { isDemoAllowed } from '../domain/demo-policy.ts';
import { demoPhoneRoute } from '../gateway/http/demo-phone.ts';
import { demoRestartRoute } from '../gateway/http/demo-restart.ts';
import { documentRoutes } from '../gateway/http/documents.ts';
import { graphiqlRoute } from '../gateway/http/graphiql-files.ts';
import { createGraphqlHttp } from '../gateway/http/graphql.ts';
import type { GraphqlHttp } from '../gateway/http/graphql.ts';
import { createHealth } from '../gateway/http/health.ts';
import type { Health } from '../gateway/http/health.ts';
import { mediaRoutes } from '../gateway/http/media.ts';
import { isMultipart } from '../gateway/http/multipart.ts';
import { createPhoneListener } from '../gateway/http/phone-listener.ts';
import type { PhoneListener, PhoneOptions } from '../gateway/http/phone-listener.ts';
import { createHttpPolicy } from '../gateway/http/policy.ts';
import type { RequestsOptions } from '../gateway/http/requests.ts';
import type { Route } from '../gateway/http/router.ts';
import { pageRoutes } from '../gateway/http/static-files.ts';
import { timeoutsFor } from '../gateway/http/timeouts.ts';
import type { Metrics } from '../gateway/metrics.ts';
import type { Ports } from '../gateway/ports.ts';
import { createGraphqlSockets } from '../gateway/websocket/server.ts';
import type { GraphqlSockets } from '../gateway/websocket/server.ts';
import { operatorRoutes } from './operator-routes.ts';
import { createBridgePorts } from './ports.ts';
import type { RouteGroup } from './route-groups.ts';
import type { Services } from './services.ts';

export type ServerOptions = RequestsOptions & Pick<Ports, 'connectionSlots'>;

export interface Transports {
  readonly graphqlHttp: GraphqlHttp;
  readonly graphqlSockets: GraphqlSockets;
  readonly bridge: Bridge;
  readonly health: Health;
  /** Present if the demo may open one. */
  readonly phoneListener: PhoneListener | undefined;
  /** Returns the options of a server with the routes. */
  serverOptions(groups: readonly RouteGroup[]): ServerOptions;
}

/** Actions of the demo on the page; those that it may not do are absent. */
export interface DemoActions {
  readonly restart?: (() => void) | undefined;
  readonly phone?: PhoneOptions | undefined;
}

/** The routes that the page on a phone needs. */
const PHONE_GROUPS: readonly RouteGroup[] = ['graphql', 'socket.io', 'media', 'pages'];

/** Creates the transports, and their routes. */
export function createTransports(
  ports: Ports,
  { nodeId, ownNode, channelUsage, healthChecks, demoEmails }: Services,
  legacyLimits: Partial<ConnectionLimits>,
  metrics: Metrics,
  demoActions: DemoActions,
): Transports {
  const { config, log, securityLog } = ports.deps;
  const policy = createHttpPolicy(config, (request) =>
    securityLog.record('operator refused', { address: ports.addressOf(request) }),
  );
  const bridge = createBridge({
    ...createBridgePorts(ports, policy.cors),
    usage: channelUsage,
    limits: legacyLimits,
  });
  const graphqlHttp = createGraphqlHttp(ports, policy.cors, isDemoAllowed(config) ? demoEmails : []);
  const graphqlSockets = createGraphqlSockets(ports);
  for (const { listConnections } of [graphqlSockets, graphqlHttp, bridge])
    ownNode.connections.add(listConnections);
  const health = createHealth({ ...healthChecks, log });
  metrics.beforeScrape(async () => metrics.ready.set((await health.isReady()) ? 1 : 0));
  // Of two groups: the first route of a path is used.
  const graphiqlRoutes = isGraphiqlOn(config) ? [graphiqlRoute()] : [];
  const routes: Readonly<Record<RouteGroup, readonly Route[]>> = {
    graphql: [
      {
        path: '/graphql',
        methods: ['GET', 'HEAD', 'POST'],
        handle: graphqlHttp.handle,
        isUpload: isMultipart,
        upgrade: graphqlSockets.handleUpgrade,
      },
      ...graphiqlRoutes,
    ],
    'socket.io': [
      {
        path: '/socket.io/',
        handle: bridge.handleRequest,
        upgrade: bridge.handleUpgrade,
        isOfSession: bridge.isOfSession,
        ownCors: true,
        isEmbeddable: true,
      },
    ],
    media: mediaRoutes(ports),
    health: health.routes,
    operators: [
      ...operatorRoutes(ports, nodeId),
      ...graphiqlRoutes,
      { path: '/metrics', methods: ['GET', 'HEAD'], handle: metrics.handle, isForOperators: true },
      {
        path: '/legacy-report',
        methods: ['GET', 'HEAD'],
        handle: bridge.handleReport,
        isForOperators: true,
      },
    ],
    pages: [...pageRoutes(), ...documentRoutes()],
  };
  const requestsOptions: Omit<RequestsOptions, 'routes'> = {
    policy,
    turnClock: ports.turnClock,
    findKnownAccount: (token) => ports.findKnownAccount(token),
    inboundLedgers: ports.ledgers.inbound,
    onResponse: (route, status) => metrics.httpResponses.inc({ route, status: classOf(status) }),
    timeouts: timeoutsFor(config.KEEP_ALIVE_MS, config.MAX_UPLOAD_BYTES),
    log,
  };
  const phoneListener =
    demoActions.phone &&
    createPhoneListener(demoActions.phone, {
      ...requestsOptions,
      routes: [...PHONE_GROUPS.flatMap((group) => routes[group]), demoRestartRoute(undefined, policy)],
    });
  const demoRoutes = [demoRestartRoute(demoActions.restart, policy), demoPhoneRoute(phoneListener, policy)];
  return {
    graphqlHttp,
    graphqlSockets,
    bridge,
    health,
    phoneListener,
    serverOptions: (groups) => ({
      ...requestsOptions,
      routes: [...groups.flatMap((group) => routes[group]), ...(groups.includes('pages') ? demoRoutes : [])],
      connectionSlots: ports.connectionSlots,
    }),
  };
}

/** Returns the class of an HTTP status, for example `4xx`; `none` for a connection that ended before the response. */
const classOf = (status: number | undefined): string =>
  status === undefined ? 'none' : `${Math.floor(status / 100)}xx`;
