import type { Config } from '../config.ts';
import { createBatchedReads } from '../db/batched-reads.ts';
import type { Database } from '../db/database.ts';
import { fillEmailKeys } from '../db/email-keys.ts';
import { hasScryptHashes } from '../db/passwords.ts';
import { createEventLog } from '../db/event-log.ts';
import { createPartitions } from '../db/log-partitions.ts';
import { findDemoAccounts, isDemoAllowed } from '../domain/demo-policy.ts';
import type { Deps } from '../domain/deps.ts';
import { removeExpired } from '../domain/call-participation.ts';
import { createReadMarker } from '../domain/read-marker.ts';
import { createSendBatcher } from '../domain/send-batch.ts';
import { createBus } from '../events/bus.ts';
import { LEASE_MS } from '../events/delivery-gate.ts';
import { createTails } from '../events/tail.ts';
import { TopicLocks } from '../events/topic-locks.ts';
import type { TransactDeps } from '../events/unit-of-work.ts';
import type { HealthOptions } from '../gateway/http/health.ts';
import type { Metrics } from '../gateway/metrics.ts';
import { SingleFlight } from '../lib/single-flight.ts';
import type { Logger } from '../log.ts';
import { createAccountConnections } from '../services/account-connections.ts';
import { boundLog } from '../services/bounded-log.ts';
import { CallLeases } from '../services/call-leases.ts';
import { createChannelUsage } from '../services/channel-usage.ts';
import type { ChannelUsage } from '../services/channel-usage.ts';
import type { Authenticate } from '../services/authenticate.ts';
import { createMailer } from '../services/mailer.ts';
import { createLoginAttempts } from '../services/login-attempts.ts';
import { MediaInspections } from '../services/media-inspections.ts';
import { createMediaUrls } from '../services/media-urls.ts';
import { createPasswords } from '../services/passwords.ts';
import { createPresence } from '../services/presence.ts';
import { createOperationLimits } from '../services/operation-limits.ts';
import type { OperationBudgets } from '../services/operation-limits.ts';
import { createRateLimits } from '../services/rate-limits.ts';
import { createReportRefusal } from '../services/refusals.ts';
import { startRetention } from '../services/retention.ts';
import { createSecurityLog } from '../services/security-log.ts';
import { createUploadLimits } from '../services/upload-limits.ts';
import { createUploadTickets } from '../services/upload-tickets.ts';
import { createTracing } from '../tracing.ts';
import { DatabaseClock, nodeClock } from '../services/wall-clock.ts';
import { joinCluster, withReceiveListener } from './cluster.ts';
import { openConfiguredDatabase } from './database.ts';
import { openMediaStorage } from './media-storage.ts';
import { openOperators } from './operators.ts';
import type { OwnNode } from './operators.ts';
import { createTypingPublisher } from '../services/typing-publisher.ts';
import { createConfiguredTokens, openSecrets } from './tokens.ts';
import { initializeLabels, reportServices } from './report-services.ts';

export interface ServicesOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly nodeId: string;
  readonly metrics: Metrics;
  /** Closes the services in reverse order. */
  readonly stack: AsyncDisposableStack;
  /** An open database to use instead of the configured one. */
  readonly database?: Database | undefined;
  /** Authenticates tokens that the gateway did not issue. */
  readonly authenticate?: Authenticate | undefined;
  readonly passwordMemoryKib?: number | undefined;
  readonly operationBudgets?: OperationBudgets | undefined;
}

export interface Services {
  readonly deps: Deps;
  readonly nodeId: string;
  /** E-mails of the demo accounts found in the database that still have their published password. */
  readonly demoEmails: readonly string[];
  readonly channelUsage: ChannelUsage;
  readonly ownNode: OwnNode;
  readonly healthChecks: Pick<HealthOptions, 'pingDatabase' | 'degradation'>;
}

/** Opens everything with a lifetime or a secret, in startup order. Throws a `StartError` for what is unavailable. */
export async function openServices(options: ServicesOptions): Promise<Services> {
  const { config, nodeId, metrics, stack } = options;
  const log = stack.use(boundLog(options.log));
  const tracing = createTracing();
  const dataDir = config.DATA_DIR === 'memory' ? undefined : config.DATA_DIR;
  const database = options.database ?? stack.use(await openConfiguredDatabase(config, dataDir, log, tracing));
  const { db, control, shares, kind } = database;
  const epoch = { current: database.epoch };
  await fillEmailKeys(db);
  const bus = createBus(log, tracing);
  const transactDeps: TransactDeps = {
    db,
    bus,
    topicLocks: new TopicLocks({ maxWaits: Math.max(1, Math.floor(database.poolSize / 2)) }),
    ownAppends: { newest: undefined },
  };
  const clock = kind === 'pglite' ? nodeClock : stack.use(await DatabaseClock.start(db, log));
  const batchedReads = createBatchedReads(db);
  const tails = createTails({
    epoch,
    ownAppends: transactDeps.ownAppends,
    eventLog: { ...createEventLog(db), readRange: batchedReads.readRange },
    bus,
    log,
    controlLog: createEventLog(control),
    // A single process misses nothing.
    leaseMs: database.url === undefined ? Infinity : LEASE_MS,
    onEvent: ({ at }) =>
      metrics.deliveryDelay.observe(Math.max(0, Date.now() - clock.offsetMs - Date.parse(at)) / 1000),
  });
  const securityLog = stack.use(
    createSecurityLog({ log: options.log, count: (event) => metrics.securityEvents.inc({ event }) }),
  );
  const reportRefusal = createReportRefusal({
    count: (limit) => metrics.refusals.inc({ limit }),
    securityLog,
  });
  const typing = stack.use(createTypingPublisher({ db, bus, reportRefusal }));
  const presence = stack.use(
    await createPresence({
      db,
      control,
      bus,
      log,
      nodeId,
      nodeName: config.NODE_NAME,
      graceMs: config.PRESENCE_GRACE_MS,
      isOnlyProcess: kind === 'pglite',
      onLastConnection: typing.endAll,
    }),
  );
  const callLeases = stack.use(
    new CallLeases({
      db,
      control,
      log,
      nodeId,
      removeExpired: (conversationId) => removeExpired(transactDeps, conversationId),
    }),
  );
  const secrets = await openSecrets(config, dataDir);
  const tokens = createConfiguredTokens({ ...options, secrets, clock, log });
  const mediaStorage = await openMediaStorage({ config, dataDir, databaseKind: kind, clock, log, stack });
  const mediaInspections =
    config.MEDIA_INSPECTION === 'off'
      ? undefined
      : stack.use(
          new MediaInspections({
            db,
            mediaStorage,
            bus,
            log,
            count: (outcome) => metrics.mediaInspections.inc({ outcome }),
          }),
        );
  const operationLimits = createOperationLimits({
    enabled: config.RATE_LIMITS === 'on',
    budgets: options.operationBudgets,
    reportRefusal,
  });
  const passwords = createPasswords({
    memoryKib: options.passwordMemoryKib,
    hasScryptHashes: await hasScryptHashes(db),
    reportRefusal,
  });
  const demoAccounts = await findDemoAccounts({ db, passwords });
  const missing = await createPartitions(db, config.EVENT_RETENTION_DAYS);
  if (missing !== undefined) log.warn({ reason: missing }, 'the event log has no partition for new events');
  const retention = stack.use(startRetention({ ...transactDeps, config, mediaStorage, clock, log }));
  const channelUsage = stack.use(createChannelUsage({ db, log, now: () => clock.now() }));
  const cluster = await joinCluster(config, database, {
    // Subscriptions are per topic, but typing expiry needs the notices of all topics.
    bus: withReceiveListener(bus, typing.onReceived),
    tails,
    log,
    nodeId,
  });
  if (cluster !== undefined) stack.use(cluster);
  const degradation = (): string | undefined => {
    if (cluster?.isConnected === false) return 'other nodes unreachable';
    return clock.isOff ? describeOffset(clock.offsetMs) : undefined;
  };
  initializeLabels(metrics);
  stack.defer(reportServices(metrics, { database, cluster, retention, clock, tails, degradation }));
  const { MAIL_URL, MAIL_FROM } = config;
  const { operators, ownNode } = openOperators({
    config,
    control,
    log,
    nodeId,
    cluster,
    tails,
    countEnds: metrics.countEnds,
    degradation,
    stack,
  });
  const mailer =
    MAIL_URL === undefined
      ? undefined
      : stack.use(await createMailer({ url: MAIL_URL, from: MAIL_FROM, log }));
  return {
    nodeId,
    demoEmails: demoAccounts.map(({ email }) => email),
    deps: {
      ...transactDeps,
      databaseShares: shares,
      tails,
      epoch,
      config,
      log,
      clock,
      tokens,
      batchedReads,
      presence,
      callLeases,
      mediaStorage,
      mediaInspections,
      mediaUrls: createMediaUrls({ secrets, ttlSeconds: config.MEDIA_URL_TTL, now: () => clock.now() }),
      uploadTickets: createUploadTickets(secrets),
      publications: new SingleFlight(),
      uploadLimits: createUploadLimits({
        db,
        log,
        quotaBytes: config.UPLOAD_QUOTA_BYTES,
        reportRefusal,
      }),
      rateLimits: createRateLimits({
        enabled: config.RATE_LIMITS === 'on',
        reportRefusal,
      }),
      operationLimits,
      accountConnections: createAccountConnections({
        enabled: config.RATE_LIMITS === 'on',
        reportRefusal,
      }),
      passwords,
      mailer,
      loginAttempts: createLoginAttempts({
        db,
        enabled: config.RATE_LIMITS === 'on',
        securityLog,
        reportRefusal,
        databaseShares: shares,
        operationLimits,
      }),
      securityLog,
      reportRefusal,
      lockedUsers: new Set(isDemoAllowed(config) ? [] : demoAccounts.map(({ id }) => id)),
      sendBatcher: createSendBatcher({
        ...transactDeps,
        reportRefusal,
        tracing,
        onBatch: (size) => metrics.sendBatchSize.observe(size),
      }),
      readMarker: createReadMarker({ ...transactDeps, reportRefusal }),
      typing,
      tracing,
      operators,
    },
    channelUsage,
    ownNode,
    healthChecks: {
      pingDatabase: () => database.ping(),
      degradation,
    },
  };
}

/** Describes how far the clock of this node is ahead of the database's. */
function describeOffset(offsetMs: number): string {
  const seconds = Math.round(Math.abs(offsetMs) / 1000);
  return `clock ${seconds} s ${offsetMs > 0 ? 'ahead of' : 'behind'} the database`;
}
