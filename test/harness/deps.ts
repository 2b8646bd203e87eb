import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config.ts';
import { openOperators } from '../../src/app/operators.ts';
import { createBatchedReads } from '../../src/db/batched-reads.ts';
import type { Db } from '../../src/db/database.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { createAccountConnections } from '../../src/services/account-connections.ts';
import { createOperationLimits } from '../../src/services/operation-limits.ts';
import { createRateLimits } from '../../src/services/rate-limits.ts';
import { createPasswords } from '../../src/services/passwords.ts';
import { removeExpired } from '../../src/domain/call-participation.ts';
import { CallLeases } from '../../src/services/call-leases.ts';
import { createPresence } from '../../src/services/presence.ts';
import { createLoginAttempts } from '../../src/services/login-attempts.ts';
import { createSecurityLog } from '../../src/services/security-log.ts';
import { createReadMarker } from '../../src/domain/read-marker.ts';
import { createSendBatcher } from '../../src/domain/send-batch.ts';
import { createFolderStorage } from '../../src/services/media-storage-fs.ts';
import { createMediaUrls } from '../../src/services/media-urls.ts';
import { createTokens } from '../../src/services/tokens.ts';
import type { TokenSettings } from '../../src/services/tokens.ts';
import { createUploadLimits } from '../../src/services/upload-limits.ts';
import { createUploadTickets } from '../../src/services/upload-tickets.ts';
import { nodeClock } from '../../src/services/wall-clock.ts';
import { createTypingPublisher } from '../../src/services/typing-publisher.ts';
import { createBus } from '../../src/events/bus.ts';
import { createEventLog } from '../../src/db/event-log.ts';
import { createTails } from '../../src/events/tail.ts';
import { TopicLocks } from '../../src/events/topic-locks.ts';
import type { TransactDeps } from '../../src/events/unit-of-work.ts';
import { SingleFlight } from '../../src/lib/single-flight.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from './database.ts';

export const SECRET = 'a secret of the tests, for accounts';

export interface TestDepsOptions {
  readonly tokens?: Partial<TokenSettings>;
  readonly rateLimits?: boolean;
  /** Wraps the database of queries, to observe them. Presence and the event log keep the plain one. */
  readonly wrapDb?: (db: Db) => Db;
}

/** Creates the real dependencies of domain functions over this worker's emptied database. */
export async function createTestDeps({
  tokens,
  rateLimits = false,
  wrapDb = (db) => db,
}: TestDepsOptions = {}): Promise<Deps & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const { db: plainDb, control, shares, kind, ...database } = await openTestDatabase();
  const epoch = { current: database.epoch };
  const db = wrapDb(plainDb);
  const config = readConfig({ DATA_DIR: 'memory', RATE_LIMITS: rateLimits ? 'on' : 'off' });
  const log = createLogger('silent');
  const bus = createBus(log);
  const folder = await mkdtemp(join(tmpdir(), 'parley-test-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const nodeId = randomUUID();
  const presence = stack.use(
    await createPresence({
      db: plainDb,
      control,
      bus,
      log,
      graceMs: 0,
      nodeId,
      nodeName: undefined,
      isOnlyProcess: kind === 'pglite',
    }),
  );
  const transactDeps: TransactDeps = {
    db: plainDb,
    bus,
    topicLocks: new TopicLocks({ maxWaits: 5 }),
    ownAppends: { newest: undefined },
  };
  const callLeases = stack.use(
    new CallLeases({
      db: plainDb,
      control,
      log,
      nodeId,
      removeExpired: (id) => removeExpired(transactDeps, id),
    }),
  );
  const securityLog = stack.use(createSecurityLog({ log }));
  const tails = createTails({ ...transactDeps, eventLog: createEventLog(plainDb), epoch, log });
  const operationLimits = createOperationLimits({ enabled: rateLimits, maxPauseMs: 0 });
  const { operators } = openOperators({
    config,
    control,
    log,
    nodeId,
    cluster: undefined,
    tails,
    countEnds: async () => [],
    degradation: () => undefined,
    stack,
  });
  const deps: Deps = {
    ...transactDeps,
    db,
    databaseShares: shares,
    tails,
    epoch,
    config,
    log,
    clock: nodeClock,
    tokens: createTokens({ secret: SECRET, ...tokens }),
    batchedReads: createBatchedReads(db),
    presence,
    callLeases,
    mediaStorage: await createFolderStorage(folder),
    mediaInspections: undefined,
    mediaUrls: createMediaUrls({
      secrets: [SECRET],
      ttlSeconds: config.MEDIA_URL_TTL,
      now: () => nodeClock.now(),
    }),
    uploadTickets: createUploadTickets([SECRET]),
    publications: new SingleFlight(),
    uploadLimits: createUploadLimits({ db, log, quotaBytes: config.UPLOAD_QUOTA_BYTES }),
    rateLimits: createRateLimits({ enabled: rateLimits }),
    operationLimits,
    accountConnections: createAccountConnections({ enabled: rateLimits }),
    mailer: undefined,
    passwords: createPasswords({ memoryKib: 8 }),
    loginAttempts: createLoginAttempts({
      db,
      enabled: rateLimits,
      securityLog,
      databaseShares: shares,
      operationLimits,
    }),
    securityLog,
    reportRefusal: () => undefined,
    lockedUsers: new Set(),
    sendBatcher: createSendBatcher({ ...transactDeps, db }),
    readMarker: createReadMarker({ ...transactDeps, db }),
    typing: createTypingPublisher({ db, bus }),
    operators,
  };
  const owned = stack.move();
  return { ...deps, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
