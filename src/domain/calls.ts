import { createHmac, randomBytes } from 'node:crypto';
import * as actors from '../db/actors.ts';
import * as rows from '../db/call-targets.ts';
import * as leases from '../db/leases.ts';
import type { Timestamp } from '../db/tables.ts';
import { DomainError, invalidInput, notFound, unauthenticated } from '../errors.ts';
import { openEphemeralStream } from '../events/ephemeral-stream.ts';
import type { EphemeralStream } from '../events/ephemeral-stream.ts';
import type { ReaderOptions } from '../events/stream.ts';
import { approximateJsonSize, binaryLength } from '../lib/binary-json.ts';
import { accountTopic } from '../events/event.ts';
import type { ActorView } from '../events/event.ts';
import type { DeviceId, UserId } from '../ids.ts';
import type { Deps } from './deps.ts';
import type { ActorRef, Session } from '../actor.ts';

/** As JSON. Session descriptions have a few thousand bytes. */
const MAX_SIGNAL_BYTES = 262_144;
/** After this, a node that has not confirmed the delivery of a signal counts as unreachable. */
const SIGNAL_TIMEOUT_MS = 2_000;
/** Deeper content could overflow the stack of a recursive encoder or client. */
const MAX_SIGNAL_DEPTH = 100;

export interface TurnCredentials {
  readonly username: string;
  readonly password: string;
  readonly expiresAt: Timestamp;
}

export interface WebRtcConfig {
  readonly stunUrls: readonly string[];
  readonly turnUrls: readonly string[];
  /** Creates credentials for the TURN servers. Throws UNAUTHENTICATED for an anonymous caller. */
  credentials(): TurnCredentials;
}

/** Returns the STUN and TURN servers, for anonymous callers too. */
export function getWebRtcConfig(
  { config, clock }: Pick<Deps, 'config' | 'clock'>,
  actor: ActorRef | null,
): WebRtcConfig {
  return {
    stunUrls: config.STUN_URLS,
    turnUrls: config.TURN_URLS,
    credentials() {
      if (actor === null) throw unauthenticated();
      // Without a secret they look the same, but no TURN server accepts them.
      return createTurnCredentials(actor, config.TURN_SECRET?.[0] ?? randomBytes(20), {
        now: clock.now(),
        ttl: config.TURN_TTL,
      });
    },
  };
}

/** Follows the TURN REST convention, which coturn verifies with `use-auth-secret`. */
function createTurnCredentials(
  actor: ActorRef,
  secret: string | Buffer,
  { now, ttl }: { readonly now: number; readonly ttl: number },
): TurnCredentials {
  const expiry = Math.floor(now / 1000) + ttl;
  const username = `${expiry}:${actor.id}${actor.kind === 'device' ? 'True' : 'False'}`;
  const password = createHmac('sha1', secret).update(username).digest('base64');
  return { username, password, expiresAt: new Date(expiry * 1000).toISOString() };
}

/** The recipient of a signal. The first field given counts, in this order. */
export interface SignalTarget {
  readonly email?: string | null | undefined;
  readonly userId?: UserId | null | undefined;
  readonly deviceId?: DeviceId | null | undefined;
}

/**
 * Sends a signal to the target's newest legacy connection and to all its `signals` subscriptions. Throws NOT_FOUND
 * unless the target is the caller or shares a circle with it, UNREACHABLE without a connection of either kind, or when
 * the signal cannot be passed on to its node, INVALID_INPUT without a target, LIMIT_EXCEEDED if the content is too large, RATE_LIMITED.
 */
export async function sendSignal(
  deps: Deps,
  actor: ActorRef,
  { to, content }: { readonly to: SignalTarget; readonly content: unknown },
): Promise<void> {
  await deps.rateLimits.consume('signal', { account: actor });
  requireAcceptableSize(content);
  const target = await rows.findTarget(deps.db, actor, parseTarget(to));
  const [sender] = await actors.findActors(deps.db, [actor]);
  if (target === undefined || sender === undefined) throw notFound('The recipient');
  const { legacyLease, signals, nodeIds } = await leases.findReachability(deps.db, target);
  if (legacyLease === null && !signals) {
    throw new DomainError('UNREACHABLE', 'The recipient is not connected.');
  }
  const ephemeral = { type: 'signal', topic: accountTopic(target), sender, content, legacyLease } as const;
  const notice = { kind: 'ephemeral', ephemeral } as const;
  const reached = await deps.bus.publishConfirmed(notice, nodeIds, SIGNAL_TIMEOUT_MS);
  if (reached.size === 0) throw new DomainError('UNREACHABLE', 'The node of the recipient is unreachable.');
}

function requireAcceptableSize(content: unknown): void {
  if (isDeeperThan(content, MAX_SIGNAL_DEPTH)) {
    throw new DomainError('LIMIT_EXCEEDED', `A signal may nest at most ${MAX_SIGNAL_DEPTH} levels deep.`, {
      limit: `signal depth ${MAX_SIGNAL_DEPTH}`,
    });
  }
  // Before serialising: binary data is several times as long in JSON.
  if (
    binaryLength(content) > MAX_SIGNAL_BYTES ||
    Buffer.byteLength(JSON.stringify(content) ?? 'null') > MAX_SIGNAL_BYTES
  ) {
    throw new DomainError('LIMIT_EXCEEDED', `A signal may have at most ${MAX_SIGNAL_BYTES} bytes.`, {
      limit: 'signal',
    });
  }
}

const isDeeperThan = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !ArrayBuffer.isView(value) &&
  (levels === 0 || Object.values(value).some((inner) => isDeeperThan(inner, levels - 1)));

export function parseTarget({ email, userId, deviceId }: SignalTarget): rows.CallTarget {
  if (email != null) return { kind: 'email', email: email.replaceAll('\0', '').trim() };
  if (userId != null) return { kind: 'user', id: userId };
  if (deviceId != null) return { kind: 'device', id: deviceId };
  throw invalidInput('to', 'Give an email, a userId or a deviceId.');
}

export interface Signal {
  readonly sender: ActorView;
  readonly content: unknown;
}

/**
 * Opens a stream of the signals sent to the session's account, which can be called while the stream is open. The
 * stream of a slow reader ends with SLOW.
 */
export async function openSignals(
  deps: Deps,
  { actor }: Session,
  { signal, budget }: ReaderOptions = {},
): Promise<EphemeralStream<Signal>> {
  return openEphemeralStream<Signal>(deps, {
    topic: accountTopic(actor),
    actor,
    signal,
    budget,
    bytesOf: ({ content }) => approximateJsonSize(content),
    async authorize() {
      // An account may always read its own signals.
    },
    pick: (ephemeral) =>
      ephemeral.type === 'signal' ? { sender: ephemeral.sender, content: ephemeral.content } : undefined,
    key: () => null,
    async onAuthorized() {
      const lease = await deps.presence.open('signals', actor);
      return { release: () => void lease.close() };
    },
  });
}
