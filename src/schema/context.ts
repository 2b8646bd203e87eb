import type { Client } from '../domain/authentication.ts';
import type { Deps } from '../domain/deps.ts';
import { openSnapshot } from '../domain/deps.ts';
import type { Snapshot } from '../domain/deps.ts';
import { DomainError, unauthenticated } from '../errors.ts';
import type { BufferBudget } from '../lib/buffer-budget.ts';
import type { WatchableConnection } from '../lib/silence-watch.ts';
import { MAX_TEXT_LENGTH } from './complexity.ts';
import { Loaders } from './loaders.ts';
import type { ActorRef, Session } from '../actor.ts';

/** The context of resolvers: one per operation, and one per event of a subscription. */
export interface Context {
  /** In a snapshot, `deps.db` reads from it. */
  readonly deps: Deps;
  /** The caller's session; null without a valid token. */
  readonly session: Session | null;
  /**
   * Sets `session` to null if it has ended since the operation began. That of a connection is followed, and its end has
   * aborted the signal; that of a request is checked again.
   */
  dropEndedSession(): Promise<void>;
  /** The address of the caller's client; undefined where an execution is shared by several callers. */
  readonly address: string | undefined;
  /** Aborted when the caller's connection or request ends, with an `EndReason` when the server ends it. */
  readonly signal: AbortSignal | undefined;
  /** The WebSocket of `signal`, which outlives the operation; undefined for other transports. */
  readonly connection: WatchableConnection | undefined;
  /** Buffer budget shared by the streams of the connection; undefined if each stream has a budget of its own. */
  readonly budget: BufferBudget | undefined;
  /** `Last-Event-ID` of a reconnecting SSE client: newer than the argument `after` of the operation that it repeats. */
  readonly resumeAfter: string | null;
  /** Replaces the token of the caller's connection; undefined over HTTP. */
  readonly renewSession: RenewSession | undefined;
  readonly loaders: Loaders;
  /** Rows that the loaders have read so far. */
  readonly loadedRows: number;
  /** Total length of the message texts and previews returned so far. */
  textLength: number;
  /** Whether the operation selects an `eventCursor`, which must be consistent with the data beside it. */
  usesSnapshot: boolean;
  /** The reason why the caller's token was rejected; undefined without one. */
  readonly tokenProblem: string | undefined;
  /** The token that the caller sent, valid or not; undefined without one, and for operations of a connection's session. */
  readonly presentedToken: string | undefined;
  /** Whether the caller is a legacy client, for which some input checks are relaxed. */
  readonly legacy: boolean;
  /** Whether a field failed because the caller has no session. */
  lacksLogin: boolean;
  /** Opens a snapshot: until `leaveSnapshot`, all reads are consistent with each other. */
  enterSnapshot(): Promise<void>;
  leaveSnapshot(): Promise<void>;
  /** Makes the following reads independent of earlier ones. */
  forgetLoaded(): void;
}

/** Throws UNAUTHENTICATED for an invalid token, FORBIDDEN for another account's; the session then stays unchanged. */
export type RenewSession = (token: string) => Promise<void>;

export interface ContextOptions {
  readonly deps: Deps;
  /**
   * `shared` for an execution whose result is sent to several callers: reading `session` then throws
   * `MissingPerActorMarkError`.
   */
  readonly session: Session | null | 'shared';
  readonly address?: string | undefined;
  readonly tokenProblem?: string | undefined;
  readonly presentedToken?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly connection?: WatchableConnection | undefined;
  readonly budget?: BufferBudget | undefined;
  readonly resumeAfter?: string | null;
  readonly renewSession?: RenewSession | undefined;
  readonly legacy?: boolean;
}

export function createContext(options: ContextOptions): Context {
  return new OperationContext(options);
}

export interface BatchContexts {
  readonly first: Context;
  /** Returns the first context, then further ones. */
  next(): Context;
}

/** Creates contexts of executions that share the snapshot of the first one, and the statements of concurrent loads. */
export function createBatchContexts(options: ContextOptions): BatchContexts {
  const first = createContext(options);
  let isFirst = true;
  return {
    first,
    next() {
      const context = isFirst ? first : new OperationContext(options, first);
      isFirst = false;
      return context;
    },
  };
}

/** A class, because every subscription holds one: an object with closures would take more memory. */
class OperationContext implements Context {
  readonly address: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly connection: WatchableConnection | undefined;
  readonly budget: BufferBudget | undefined;
  readonly resumeAfter: string | null;
  readonly renewSession: RenewSession | undefined;
  readonly tokenProblem: string | undefined;
  readonly presentedToken: string | undefined;
  readonly legacy: boolean;
  textLength = 0;
  usesSnapshot = false;
  lacksLogin = false;
  readonly #deps: Deps;
  #session: ContextOptions['session'];
  #snapshot: Snapshot | undefined;
  #loaders: Loaders | undefined;

  constructor(options: ContextOptions, first?: Context) {
    const {
      deps,
      session,
      address,
      signal,
      connection,
      budget,
      resumeAfter = null,
      renewSession,
      tokenProblem,
      presentedToken,
      legacy = false,
    } = options;
    this.#deps = first?.deps ?? deps;
    this.#session = session;
    this.address = address;
    this.tokenProblem = tokenProblem;
    this.presentedToken = presentedToken;
    this.legacy = legacy;
    this.signal = signal;
    this.connection = connection;
    this.budget = budget;
    this.resumeAfter = resumeAfter;
    this.renewSession = renewSession;
    if (first === undefined) return;
    this.usesSnapshot = first.usesSnapshot;
    this.#loaders = first.loaders;
  }

  get deps(): Deps {
    return this.#snapshot?.deps ?? this.#deps;
  }

  get session(): Session | null {
    if (this.#session === 'shared') throw new MissingPerActorMarkError();
    return this.#session;
  }

  async dropEndedSession(): Promise<void> {
    const { presentedToken, session, signal } = this;
    if (session === null) return;
    const hasEnded =
      typeof signal?.reason === 'string' ||
      (presentedToken !== undefined && !(await this.#deps.batchedReads.isActive(session)));
    if (hasEnded) this.#session = null;
  }

  /** Created on first use: the subscription of a stream needs none. */
  get loaders(): Loaders {
    this.#loaders ??= new Loaders(
      () => this.deps,
      () => this.session?.actor ?? null,
    );
    return this.#loaders;
  }

  get loadedRows(): number {
    return this.#loaders?.rowCount ?? 0;
  }

  async enterSnapshot(): Promise<void> {
    this.#snapshot ??= await openSnapshot(this.#deps);
  }

  async leaveSnapshot(): Promise<void> {
    const snapshot = this.#snapshot;
    this.#snapshot = undefined;
    await snapshot?.close();
  }

  forgetLoaded(): void {
    this.#loaders?.forget();
  }
}

/** Thrown when a shared execution reads the caller: some field lacks the mark `perActor`. */
export class MissingPerActorMarkError extends Error {
  override readonly name = 'MissingPerActorMarkError';

  constructor() {
    super('A field that depends on its caller is not marked perActor.');
  }
}

/** Returns the caller's session. Throws UNAUTHENTICATED without one, with the reason if a token was rejected. */
export function requireSession(context: Context): Session {
  if (context.session !== null) return context.session;
  context.lacksLogin = true;
  throw unauthenticated(context.tokenProblem);
}

/** Returns the caller. Throws UNAUTHENTICATED without a session. */
export function requireActor(context: Context): ActorRef {
  return requireSession(context).actor;
}

/** Returns the client of an operation that needs a password. */
export const clientOf = ({ address = 'unknown', presentedToken, session }: Context): Client => ({
  address,
  presentedToken,
  session,
});

/** Returns a text of the response. Throws LIMIT_EXCEEDED if the response has too many characters of them. */
export function countText(context: Context, text: string): string {
  context.textLength += text.length;
  if (context.textLength <= MAX_TEXT_LENGTH) return text;
  throw new DomainError(
    'LIMIT_EXCEEDED',
    `A response may have at most ${MAX_TEXT_LENGTH} characters of message text and previews.`,
    { limit: `text ${MAX_TEXT_LENGTH}` },
  );
}
