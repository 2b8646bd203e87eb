import type { DeviceId, UserId } from '../ids.ts';
import type { EphemeralStream } from '../events/ephemeral.ts';
import type { ActorView } from '../events/event.ts';
import type { Timestamp } from '../db/tables.ts';
import type { Actor, Session } from './actor.ts';
import type { Deps } from './deps.ts';

export interface TurnCredentials {
  readonly username: string;
  readonly password: string;
  readonly expiresAt: Timestamp;
}

export interface WebRtcConfig {
  readonly stunUrls: readonly string[];
  readonly turnUrls: readonly string[];
  /** Makes credentials for the TURN servers. Throws UNAUTHENTICATED for an anonymous caller. */
  credentials(): TurnCredentials;
}

/** What a caller needs to set up a call; the servers are no secret. */
export function webrtcConfig(deps: Pick<Deps, 'config'>, actor: Actor | null): WebRtcConfig {
  throw new Error(`not written: ${String([deps, actor])}`);
}

/** Whom a signal is for. The first that is given decides, in this order. */
export interface SignalTarget {
  readonly email?: string | null | undefined;
  readonly userId?: UserId | null | undefined;
  readonly deviceId?: DeviceId | null | undefined;
}

/**
 * Hands a signal to the target's newest legacy connection and to all its `signals` readers. Throws NOT_FOUND unless
 * the caller shares a circle with the target, UNREACHABLE when it has neither, LIMIT_EXCEEDED for too large a content.
 */
export async function sendSignal(
  deps: Deps,
  actor: Actor,
  input: { readonly to: SignalTarget; readonly content: unknown },
): Promise<void> {
  throw new Error(`not written: ${String([deps, actor, input])}`);
}

export interface Signal {
  readonly sender: ActorView;
  readonly content: unknown;
}

/** Opens a reader of the signals sent to the session's account, which is reachable from then on. */
export async function openSignals(
  deps: Deps,
  session: Session,
  signal?: AbortSignal,
): Promise<EphemeralStream<Signal>> {
  throw new Error(`not written: ${String([deps, session, signal])}`);
}
