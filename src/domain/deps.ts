import type { Config } from '../config.ts';
import type { DatabaseShares } from '../db/fair-pool.ts';
import type { Epoch } from '../events/cursor.ts';
import type { TransactDeps } from '../events/unit-of-work.ts';
import type { Tails } from '../events/tail.ts';
import type { Media } from '../db/tables.ts';
import type { UserId } from '../ids.ts';
import type { SingleFlight } from '../lib/single-flight.ts';
import type { Logger } from '../log.ts';
import type { BatchedReads } from '../db/batched-reads.ts';
import type { AccountConnections } from '../services/account-connections.ts';
import type { Operators } from '../services/operators/operators.ts';
import type { OperationLimits } from '../services/operation-limits.ts';
import type { UploadLimits } from '../services/upload-limits.ts';
import type { UploadTickets } from '../services/upload-tickets.ts';
import type { RateLimits } from '../services/rate-limits.ts';
import type { ReportRefusal } from '../services/refusals.ts';
import type { Mailer } from '../services/mailer.ts';
import type { LoginAttempts } from '../services/login-attempts.ts';
import type { Passwords } from '../services/passwords.ts';
import type { SecurityLog } from '../services/security-log.ts';
import type { Presence } from '../services/presence.ts';
import type { CallLeases } from '../services/call-leases.ts';
import type { ReadMarker } from './read-marker.ts';
import type { SendBatcher } from './send-batch.ts';
import type { MediaInspections } from '../services/media-inspections.ts';
import type { MediaStorage } from '../services/media-storage.ts';
import type { MediaUrls } from '../services/media-urls.ts';
import type { Tokens } from '../services/tokens.ts';
import type { WallClock } from '../services/wall-clock.ts';
import type { TypingPublisher } from '../services/typing-publisher.ts';
import type { Tracing } from '../tracing.ts';
import { openSnapshot as openDatabaseSnapshot } from '../db/database.ts';

/** Dependencies of all domain functions. Built once, in `app/services.ts`. */
export interface Deps extends TransactDeps {
  readonly databaseShares: DatabaseShares;
  readonly tails: Tails;
  /** Identifies the database in cursors: a cursor of another database is invalid. */
  readonly epoch: Readonly<Epoch>;
  readonly config: Config;
  readonly log: Logger;
  readonly clock: WallClock;
  readonly tokens: Tokens;
  readonly batchedReads: BatchedReads;
  readonly presence: Presence;
  readonly callLeases: CallLeases;
  readonly mediaStorage: MediaStorage;
  /** Undefined with MEDIA_INSPECTION=off. */
  readonly mediaInspections: Pick<MediaInspections, 'wake' | 'check'> | undefined;
  readonly mediaUrls: MediaUrls;
  readonly uploadLimits: UploadLimits;
  readonly uploadTickets: UploadTickets;
  /** Files that are being published, by their name in the storage. */
  readonly publications: SingleFlight<Media>;
  readonly rateLimits: RateLimits;
  readonly operationLimits: OperationLimits;
  readonly accountConnections: AccountConnections;
  readonly passwords: Passwords;
  readonly loginAttempts: LoginAttempts;
  /** Undefined unless MAIL_URL is set. */
  readonly mailer: Mailer | undefined;
  readonly securityLog: SecurityLog;
  readonly reportRefusal: ReportRefusal;
  /** Demo accounts that are not allowed here: neither their logins nor their tokens are accepted. */
  readonly lockedUsers: ReadonlySet<UserId>;
  readonly sendBatcher: SendBatcher;
  readonly readMarker: ReadMarker;
  readonly typing: TypingPublisher;
  /** Undefined unless an OpenTelemetry SDK is registered. */
  readonly tracing?: Tracing | undefined;
  readonly operators: Operators;
}

/** Dependencies that read from one database snapshot, so that data and cursors are consistent. */
export interface Snapshot {
  readonly deps: Deps;
  close(): Promise<void>;
}

/** Opens a database snapshot. The caller closes it. */
export async function openSnapshot(deps: Deps): Promise<Snapshot> {
  const { db, close } = await openDatabaseSnapshot(deps.db);
  return { deps: { ...deps, db }, close };
}
