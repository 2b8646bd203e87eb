import type { Deps } from '../domain/deps.ts';
import { openSnapshot } from '../domain/deps.ts';
import type { Snapshot } from '../domain/deps.ts';
import { unauthenticated } from '../errors.ts';
import type { BufferBudget } from '../lib/buffer-budget.ts';
import { Loaders } from './loaders.ts';
import type { ActorRef, Session } from '../actor.ts';

/** What resolvers are handed: made for each operation, and for each event of a subscription. */
export interface Context {
  /** Within a snapshot, with the `db` of that. */
  readonly deps: Deps;
  /** Who is calling; null for a caller without token. */
  readonly session: Session | null;
  /** Aborted when the caller's connection or request ends, with an `EndReason` when the server ends it. */
  readonly signal: AbortSignal | undefined;
  /** What may wait for the streams of the caller's connection; undefined where each has its own. */
  readonly budget: BufferBudget | undefined;
  /** Where an SSE client that comes back was (`Last-Event-ID`): newer than the argument `after` of the operation it repeats. */
  readonly resumeAfter: string | null;
  /** Lets the caller's connection go on with another token of the same account; undefined where there is no connection. */
  readonly renewSession: RenewSession | undefined;
  readonly loaders: Loaders;
  /** How much text of messages was answered so far. */
  textLength: number;
  /** Whether the operation selects an `eventCursor`, which must agree with the data beside it. */
  usesSnapshot: boolean;
  /** Why the token that the caller sent is not accepted; undefined without one. */
  readonly refusal: string | undefined;
  /** Whether it runs for a legacy client, which may still send what others may not. */
  readonly legacy: boolean;
  /** Whether something was refused because the caller has no session. */
  lacksLogin: boolean;
  /** All that is read from here on is as of one moment, until the snapshot is left. */
  enterSnapshot(): Promise<void>;
  leaveSnapshot(): Promise<void>;
}

/** Throws UNAUTHENTICATED for a bad token, FORBIDDEN for one of another account: then the session stays as it was. */
export type RenewSession = (token: string) => Promise<void>;

export interface ContextOptions {
  readonly deps: Deps;
  /** `anyone` for a result that many get, whoever they are: a field that looks at its caller then fails. */
  readonly session: Session | null | 'anyone';
  readonly refusal?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly budget?: BufferBudget | undefined;
  readonly resumeAfter?: string | null;
  readonly renewSession?: RenewSession | undefined;
  readonly legacy?: boolean;
}

export function createContext(options: ContextOptions): Context {
  return new OperationContext(options);
}

/** A class, as each subscription holds one for as long as it lives. */
class OperationContext implements Context {
  readonly signal: AbortSignal | undefined;
  readonly budget: BufferBudget | undefined;
  readonly resumeAfter: string | null;
  readonly renewSession: RenewSession | undefined;
  readonly refusal: string | undefined;
  readonly legacy: boolean;
  textLength = 0;
  usesSnapshot = false;
  lacksLogin = false;
  readonly #deps: Deps;
  readonly #session: ContextOptions['session'];
  #snapshot: Snapshot | undefined;
  #loaders: Loaders | undefined;

  constructor(options: ContextOptions) {
    const {
      deps,
      session,
      signal,
      budget,
      resumeAfter = null,
      renewSession,
      refusal,
      legacy = false,
    } = options;
    this.#deps = deps;
    this.#session = session;
    this.refusal = refusal;
    this.legacy = legacy;
    this.signal = signal;
    this.budget = budget;
    this.resumeAfter = resumeAfter;
    this.renewSession = renewSession;
  }

  get deps(): Deps {
    return this.#snapshot?.deps ?? this.#deps;
  }

  get session(): Session | null {
    if (this.#session === 'anyone') throw new UnmarkedFieldError();
    return this.#session;
  }

  /** Made for those who read with them: the subscription of a stream does not. */
  get loaders(): Loaders {
    this.#loaders ??= new Loaders(
      () => this.deps,
      () => this.session?.actor ?? null,
    );
    return this.#loaders;
  }

  async enterSnapshot(): Promise<void> {
    this.#snapshot ??= await openSnapshot(this.#deps);
  }

  async leaveSnapshot(): Promise<void> {
    const left = this.#snapshot;
    this.#snapshot = undefined;
    await left?.close();
  }
}

/** A result for many looked at who is asking: some field lacks its mark, `perActor`. */
export class UnmarkedFieldError extends Error {
  override readonly name = 'UnmarkedFieldError';

  constructor() {
    super('A field that depends on its caller is not marked perActor.');
  }
}

/** The caller's session. Throws UNAUTHENTICATED when there is none, with the reason if a token was sent. */
export function requireSession(context: Context): Session {
  if (context.session !== null) return context.session;
  context.lacksLogin = true;
  throw unauthenticated(context.refusal);
}

/** Who is calling. Throws UNAUTHENTICATED when nobody is logged in. */
export function requireActor(context: Context): ActorRef {
  return requireSession(context).actor;
}
