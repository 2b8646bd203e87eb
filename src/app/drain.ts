import { setTimeout as pause } from 'node:timers/promises';
import type { Bridge } from '../bridge/server.ts';
import type { Config } from '../config.ts';
import type { GraphqlHttp } from '../gateway/http/graphql.ts';
import type { Health } from '../gateway/http/health.ts';
import type { HttpDrain } from '../gateway/http/server.ts';
import type { GraphqlSockets } from '../gateway/websocket/server.ts';
import { interleave, spreadOver } from '../lib/spread.ts';
import { waitAtMost } from '../lib/timeout.ts';

/** Time for what is in flight to complete, and for clients to close, before connections are destroyed. */
const IN_FLIGHT_TIMEOUT_MS = 2_000;
/** Time for the requests that arrived meanwhile. */
const LAST_REQUESTS_TIMEOUT_MS = 300;

export interface Servers {
  readonly health: Health;
  readonly http: HttpDrain;
  readonly graphqlHttp: GraphqlHttp;
  readonly graphqlSockets: GraphqlSockets;
  readonly bridge: Bridge;
}

/**
 * Stops the servers. The node is not ready first, so that a load balancer stops sending clients; DRAIN_DELAY_MS later the
 * connections are closed, spread over DRAIN_SPREAD_MS. It listens until they are, so that health checks and new clients
 * receive a response.
 */
export async function drain(
  { health, http, graphqlHttp, graphqlSockets, bridge }: Servers,
  { DRAIN_DELAY_MS, DRAIN_SPREAD_MS }: Pick<Config, 'DRAIN_DELAY_MS' | 'DRAIN_SPREAD_MS'>,
): Promise<void> {
  health.drain();
  http.drain();
  if (DRAIN_DELAY_MS > 0) await pause(DRAIN_DELAY_MS);
  await spreadOver(
    DRAIN_SPREAD_MS,
    interleave([graphqlSockets.drain(), graphqlHttp.drain(), bridge.drain()]),
  );
  graphqlHttp.close();
  await Promise.all([
    bridge.close(),
    waitAtMost(IN_FLIGHT_TIMEOUT_MS, Promise.all([graphqlSockets.close(), http.whenIdle()])),
  ]);
  const closed = http.close();
  await waitAtMost(LAST_REQUESTS_TIMEOUT_MS, closed);
  http.destroyConnections();
  await closed;
}
