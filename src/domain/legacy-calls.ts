// Legacy clients have no operations for calls: what they forward to another account shows that they are in one.

import * as targets from '../db/call-targets.ts';
import * as rows from '../db/legacy-calls.ts';
import { parseGlobalId, parseId } from '../ids.ts';
import type { DeviceId, UserId } from '../ids.ts';
import type { WatchableConnection } from '../lib/silence-watch.ts';
import type { CallHold } from '../services/call-leases.ts';
import type { ActorRef } from '../actor.ts';
import { joinIn, removeFromCall } from './call-participation.ts';
import { parseTarget } from './calls.ts';
import type { Deps } from './deps.ts';

/** A payload that a legacy client forwards. The target has global ids. */
export interface ForwardedSignal {
  readonly to: {
    readonly email?: string | null;
    readonly userId?: string | null;
    readonly deviceId?: string | null;
  };
  readonly content: unknown;
  /** Whether the account has received it. */
  readonly isDelivered: boolean;
}

/** Levels at which the type of a message may be. */
const MAX_DEPTH = 4;
const TYPE_KEYS = ['message', 'type', 'event', 'action'];
const DESCRIPTIONS = new Set(['offer', 'answer']);
/** The messages with which the mobile apps end and decline calls, and usual words of others. */
const HANG_UPS = new Set(['quitting', 'unavailable', 'bye', 'hangup', 'hang-up', 'hang_up']);

/**
 * Records that a legacy client joins a call by an offer or an answer that was delivered, or leaves one by a hang-up. The call is
 * that of a conversation which both accounts have access to. Returns what keeps it in the call that it has joined, until the
 * connection is silent.
 */
export async function recordCallSignal(
  deps: Deps,
  actor: ActorRef,
  { to, content, isDelivered }: ForwardedSignal,
  connection: WatchableConnection,
): Promise<CallHold | undefined> {
  const kind = kindOf(content, MAX_DEPTH);
  if (kind === undefined || (kind === 'description' && !isDelivered)) return undefined;
  const target = await targets.findTarget(deps.db, actor, parseForwardTarget(to));
  if (target === undefined) return undefined;
  if (kind === 'hang-up') {
    const participants = await rows.findLegacyParticipants(deps.db, actor, target);
    for (const { call, participantId } of participants) await removeFromCall(deps, call, participantId);
    return undefined;
  }
  const preferredId = isObject(content) ? parseId<'Conversation'>(content['conversation_id']) : undefined;
  const conversationId = await rows.findSharedConversation(deps.db, actor, target, preferredId);
  if (conversationId === undefined) return undefined;
  const { participant } = await joinIn(deps, { actor, conversationId, key: null, isLegacy: true });
  return deps.callLeases.claim(actor, { participantId: participant.id, conversationId }, { connection });
}

const parseForwardTarget = ({ email, userId, deviceId }: ForwardedSignal['to']) =>
  parseTarget({
    email,
    userId: userId == null ? undefined : (parseGlobalId(userId)?.id as UserId | undefined),
    deviceId: deviceId == null ? undefined : (parseGlobalId(deviceId)?.id as DeviceId | undefined),
  });

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);

/** Returns whether a payload contains a session description or a hang-up, at its top or in its fields. */
function kindOf(value: unknown, levels: number): 'description' | 'hang-up' | undefined {
  if (!isObject(value) || levels === 0) return undefined;
  for (const key of TYPE_KEYS) {
    const type = value[key];
    if (typeof type !== 'string') continue;
    if (DESCRIPTIONS.has(type.toLowerCase())) return 'description';
    if (HANG_UPS.has(type.toLowerCase())) return 'hang-up';
  }
  for (const inner of Object.values(value)) {
    const kind = kindOf(inner, levels - 1);
    if (kind !== undefined) return kind;
  }
  return undefined;
}
