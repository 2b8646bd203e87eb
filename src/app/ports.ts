import type { GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import { accountKey, actorKey } from '../actor.ts';
import type { ActorRef, Session } from '../actor.ts';
import type { BridgeDeps } from '../bridge/deps.ts';
import * as accounts from '../domain/accounts.ts';
import { recordCallSignal } from '../domain/legacy-calls.ts';
import { findConversationsById } from '../domain/conversations.ts';
import type { Deps } from '../domain/deps.ts';
import { openMedia, openMediaByUrl, requireUrlHolder } from '../domain/media-downloads.ts';
import { uploadMedia } from '../domain/media.ts';
import { createResumableUploads } from '../domain/resumable-uploads.ts';
import type { ResumableUploads } from '../domain/resumable-uploads.ts';
import { followSession, openSession, renewSession } from '../domain/sessions.ts';
import { openStream } from '../events/open-stream.ts';
import { findToken, findTokenInRequest, firstOf } from '../gateway/bearer-token.ts';
import { createAddressOf, createProxyCheck } from '../gateway/client-address.ts';
import { createConnectionIds } from '../gateway/connection-ids.ts';
import { ConnectionSlots } from '../gateway/connection-slots.ts';
import { createEngine } from '../gateway/execution/engine.ts';
import { createExecutor } from '../gateway/execution/executor.ts';
import { createFanOut } from '../gateway/execution/fan-out.ts';
import { createFormatError } from '../gateway/execution/format-error.ts';
import { createOperationGate } from '../gateway/execution/operation-gate.ts';
import { createOperationLog } from '../gateway/execution/operation-log.ts';
import { readPersistedOperations } from '../gateway/execution/persisted-operations.ts';
import { createDocumentResolver } from '../gateway/execution/document-resolver.ts';
import type { Cors } from '../gateway/http/cors.ts';
import type { Metrics } from '../gateway/metrics.ts';
import type { Ports } from '../gateway/ports.ts';
import { createByteLedgers } from '../lib/byte-ledger.ts';
import type { ByteLedgers } from '../lib/byte-ledger.ts';
import { UNLIMITED } from '../lib/inflow-limit.ts';
import { SilenceWatch } from '../lib/silence-watch.ts';
import { TurnClock } from '../lib/turn-clock.ts';
import { schema as ownSchema } from '../schema/index.ts';

/** Characters of the tokens whose sessions are remembered: some ten thousand. */
const MAX_KNOWN_CHARACTERS = 4_000_000;

/** Creates what the transports of the gateway may call. Throws for an invalid PERSISTED_OPERATIONS file. */
export async function createPorts(
  deps: Deps,
  nodeId: string,
  metrics: Metrics,
  schema: GraphQLSchema = ownSchema,
): Promise<Ports> {
  const formatError = createFormatError(deps.log);
  const turnClock = new TurnClock();
  const { turnEnd } = deps.bus;
  const engine = createEngine({
    schema,
    fanOut: createFanOut({ ...deps, metrics, turnClock, turnEnd }),
    formatError,
    introspection: deps.config.INTROSPECTION === 'on',
    operationLog: createOperationLog(deps.log, metrics),
    tracing: deps.tracing,
    gate: createOperationGate({ ...deps, turnClock }),
  });
  const connectionSlots = new ConnectionSlots({
    max: deps.config.MAX_CONNECTIONS,
    ...(deps.config.RATE_LIMITS === 'off' && { maxPerAccount: Infinity }),
    isProxy: createProxyCheck(deps.config.TRUSTED_PROXIES),
    onRefused: (address) => deps.reportRefusal('connections', { address }),
  });
  metrics.maxTcpConnections.set(deps.config.MAX_CONNECTIONS);
  metrics.beforeScrape(() => metrics.tcpConnections.set(connectionSlots.openCount));
  const knownSessions = new LRUCache<string, Session>({
    maxSize: MAX_KNOWN_CHARACTERS,
    sizeCalculation: (_session, token) => token.length,
  });
  const { PERSISTED_OPERATIONS: path, OPERATIONS } = deps.config;
  const persisted = path === undefined ? undefined : await readPersistedOperations(path, engine);
  return {
    deps,
    engine,
    documentResolver: createDocumentResolver({
      engine,
      persisted,
      persistedOnly: OPERATIONS === 'persisted',
    }),
    formatError,
    metrics,
    connectionSlots,
    addressOf: createAddressOf({
      trustedProxies: deps.config.TRUSTED_PROXIES,
      onUntrustedProxy: (address) =>
        deps.log.warn(
          { address },
          'a proxy that is not in TRUSTED_PROXIES forwards requests: limits by address count its clients as one',
        ),
    }),
    nextConnectionId: createConnectionIds(nodeId),
    turnClock,
    turnEnd,
    silenceWatch: new SilenceWatch(),
    ledgers: createLedgers(deps, metrics),
    async authenticate(token, address) {
      const session = await accounts.authenticate(deps, token, address, knownSessions.get(token));
      knownSessions.set(token, session);
      return session;
    },
    findKnownAccount: (token) => accountKey(knownSessions.get(token)?.actor),
    openSession: (token, address) => openSession(deps, token, address),
    renewSession: (former, token, address) => renewSession(deps, former, token, address),
    uploadMedia: (actor, upload) =>
      deps.databaseShares.run(actorKey(actor), () => uploadMedia(deps, actor, upload)),
    resumableUploads: shareDatabase(deps),
    openMedia: (actor, id) => deps.databaseShares.run(actorKey(actor), () => openMedia(deps, actor, id)),
    requireUrlHolder: (id, signature) => requireUrlHolder(deps, id, signature),
    openMediaByUrl: (holder, id) =>
      deps.databaseShares.run(actorKey(holder), () => openMediaByUrl(deps, holder, id)),
  };
}

/** Returns resumable uploads whose statements count for the account. */
function shareDatabase(deps: Deps): ResumableUploads {
  const uploads = createResumableUploads(deps);
  const share = <Result>(actor: ActorRef, work: () => Promise<Result>): Promise<Result> =>
    deps.databaseShares.run(actorKey(actor), work);
  return {
    start: (actor, upload) => share(actor, () => uploads.start(actor, upload)),
    find: (actor, id) => share(actor, () => uploads.find(actor, id)),
    append: (actor, id, piece) => share(actor, () => uploads.append(actor, id, piece)),
    remove: (actor, id) => share(actor, () => uploads.remove(actor, id)),
  };
}

function createLedgers({ config, reportRefusal }: Deps, metrics: Metrics): ByteLedgers {
  const ledgers = createByteLedgers({
    onEvicted: (holder) => reportRefusal('bytes', holder),
    ...(config.RATE_LIMITS === 'off' && { inflow: UNLIMITED }),
  });
  metrics.beforeScrape(() => {
    for (const direction of ['inbound', 'outbound'] as const)
      for (const clients of ['account', 'anonymous'] as const)
        metrics.heldBytes.set({ direction, clients }, ledgers[direction][clients].bytes);
  });
  return ledgers;
}

/** Creates what the bridge may call: it sees neither the schema nor the domain. */
export function createBridgePorts(ports: Ports, cors: Cors): Omit<BridgeDeps, 'usage'> {
  const { addressOf, nextConnectionId, connectionSlots, turnClock, turnEnd, ledgers } = ports;
  const { deps, engine, metrics, authenticate, silenceWatch } = ports;
  const { config, log, tails, epoch, presence, tracing } = deps;
  return {
    addressOf,
    nextConnectionId,
    turnClock,
    turnEnd,
    identifyConnection: (socket, account) => connectionSlots.identify(socket, account),
    ledgers,
    reportRefusal: deps.reportRefusal,
    config,
    log,
    metrics,
    tracing,
    tails,
    epoch,
    presence,
    authenticate,
    silenceWatch,
    recordCallSignal: (actor, signal, connection) => recordCallSignal(deps, actor, signal, connection),
    findToken: (request, auth) => firstOf([findToken(auth), findTokenInRequest(request)]),
    openStream: (request) => openStream(deps, request),
    conversationExists: async (id) => (await findConversationsById(deps, [id])).size > 0,
    executor: createExecutor(deps, engine),
    budgets: deps.operationLimits,
    followSession: (session, onEnd) => followSession(deps, session, onEnd),
    isOriginAllowed: cors.isAllowed,
  };
}
