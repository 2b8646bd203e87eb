import * as actors from '../db/actors.ts';
import * as rows from '../db/calls.ts';
import type { Db } from '../db/database.ts';
import type { Call, CallParticipant } from '../db/tables.ts';
import { DomainError, notFound } from '../errors.ts';
import { accountTopic, callTopic, conversationTopic } from '../events/event.ts';
import type { CallLeaveReason } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { TransactDeps, UnitOfWork } from '../events/unit-of-work.ts';
import type { CallId, CallParticipantId, ConversationId } from '../ids.ts';
import { groupBy } from '../lib/group-rows.ts';
import { parseText } from '../lib/text.ts';
import type { CallCarrier } from '../services/call-leases.ts';
import type { ActorRef } from '../actor.ts';
import { requireConversationAccess } from './conversation-access.ts';
import type { Deps } from './deps.ts';

const MAX_PARTICIPANTS = 50;
const MAX_IDEMPOTENCY_KEY_LENGTH = 200;

/** A participant that has joined, with its call. */
export interface Joined {
  readonly call: Call;
  readonly participant: CallParticipant;
}

export interface JoinOptions {
  /** A retry with the same key returns the first participant. */
  readonly idempotencyKey?: string | null | undefined;
  /** Keeps the participant in the call; undefined if a stream does, which claims it later. */
  readonly carrier?: CallCarrier | undefined;
}

/**
 * Starts a call in a conversation and joins it, or joins the one in progress: so do two accounts that start one at the same
 * time. Throws NOT_FOUND, RATE_LIMITED, INVALID_INPUT, LIMIT_EXCEEDED if the call is full.
 */
export async function startCall(
  deps: Deps,
  actor: ActorRef,
  { conversationId, ...options }: JoinOptions & { readonly conversationId: ConversationId },
): Promise<Joined> {
  await deps.rateLimits.consume('call', { account: actor });
  const key = parseKey(options.idempotencyKey);
  await requireConversationAccess(deps.db, actor, conversationId);
  return joinAndKeep(deps, { actor, conversationId, key, isLegacy: false }, options);
}

/** Joins a call in progress. Throws NOT_FOUND, also for a call that has ended, and as `startCall`. */
export async function joinCall(
  deps: Deps,
  actor: ActorRef,
  { callId, ...options }: JoinOptions & { readonly callId: CallId },
): Promise<Joined> {
  await deps.rateLimits.consume('call', { account: actor });
  const key = parseKey(options.idempotencyKey);
  const { conversationId } = await requireCall(deps, actor, callId);
  return joinAndKeep(deps, { actor, conversationId, key, isLegacy: false, callId }, options);
}

async function joinAndKeep(deps: Deps, join: Join, { carrier }: JoinOptions): Promise<Joined> {
  const joined = await joinIn(deps, join);
  const { conversationId } = join;
  if (carrier !== undefined)
    await deps.callLeases.claim(
      join.actor,
      { participantId: joined.participant.id, conversationId },
      carrier,
    );
  return joined;
}

/** Leaves a call. Returns the call. Throws NOT_FOUND unless the actor joined as this participant, and is in it. */
export async function leaveCall(
  deps: Deps,
  actor: ActorRef,
  participantId: CallParticipantId,
): Promise<Call> {
  await deps.rateLimits.consume('call', { account: actor });
  const call = await rows.findCallOfParticipant(deps.db, actor, participantId);
  if (call === undefined) throw notFound('The participant');
  if (!(await removeFromCall(deps, call, participantId))) throw notFound('The participant');
  return call;
}

/** Removes a participant that leaves. Returns false if it has left before. */
export const removeFromCall = (
  deps: TransactDeps,
  call: Call,
  participantId: CallParticipantId,
): Promise<boolean> =>
  transact(deps, async (unit) => {
    await unit.lock(callTopic(call.conversationId));
    const left = await rows.removeParticipant(unit.tx, participantId);
    if (left === undefined) return false;
    await announceLeft(unit, call, [{ left, reason: 'LEFT' }]);
    return true;
  });

/** Returns the calls in the actor's conversations, or the one in a conversation. Throws NOT_FOUND without access to it. */
export async function findCalls(
  deps: Deps,
  actor: ActorRef,
  conversationId: ConversationId | null,
): Promise<Call[]> {
  if (conversationId !== null) await requireConversationAccess(deps.db, actor, conversationId);
  return rows.findCalls(deps.db, actor, conversationId);
}

/** Returns a call in progress. Throws NOT_FOUND unless the actor has access to its conversation. */
export async function requireCall({ db }: Deps, actor: ActorRef, id: CallId): Promise<Call> {
  const call = await rows.findAccessibleCall(db, actor, id);
  if (call === undefined) throw notFound('The call');
  return call;
}

/** Returns a participant. Throws NOT_FOUND unless the actor has access to the conversation of its call. */
export async function requireCallParticipant(
  { db }: Deps,
  actor: ActorRef,
  id: CallParticipantId,
): Promise<CallParticipant> {
  const participant = await rows.findAccessibleParticipant(db, actor, id);
  if (participant === undefined) throw notFound('The participant');
  return participant;
}

/** Finds the participants of calls in order of joining, without an access check. */
export async function findParticipantsByCalls(
  { db }: Deps,
  ids: readonly CallId[],
): Promise<Map<CallId, CallParticipant[]>> {
  return groupBy(ids, await rows.findParticipants(db, ids), ({ callId }) => callId);
}

/** Removes the participants of a conversation's call whose lease has expired, or whose access has ended. */
export const removeExpired = (deps: TransactDeps, conversationId: ConversationId): Promise<void> =>
  transact(deps, async (unit) => {
    await unit.lock(callTopic(conversationId));
    const call = await rows.findCallIn(unit.tx, conversationId);
    if (call === undefined) return;
    const removed = await rows.removeExpired(unit.tx, call.id);
    await announceLeft(
      unit,
      call,
      removed.map(({ participant, lostAccess }) => ({
        left: participant,
        reason: lostAccess ? 'REMOVED' : 'DISCONNECTED',
      })),
    );
  });

interface Join {
  readonly actor: ActorRef;
  readonly conversationId: ConversationId;
  readonly key: string | null;
  /** Whether it joins by `webrtc_forward`, as one participant of its account. */
  readonly isLegacy: boolean;
  /** Only this call, which another one may have replaced. Default: any, and a new one if there is none. */
  readonly callId?: CallId;
}

/** Joins the call of a conversation to which the actor has access. */
export async function joinIn(deps: Deps, join: Join): Promise<Joined> {
  const { actor, conversationId, key, isLegacy, callId } = join;
  const topic = callTopic(conversationId);
  await rows.createLog(deps.db, topic);
  return transact(deps, async (unit) => {
    // The others too: the actor's access must not end, and its name not be erased, before the commit.
    await unit.lock(topic, conversationTopic(conversationId), accountTopic(actor));
    await requireConversationAccess(unit.tx, actor, conversationId);
    const found = await rows.findCallIn(unit.tx, conversationId);
    if (callId !== undefined && found?.id !== callId) throw notFound('The call');
    const call = found ?? (await rows.insertCall(unit.tx, conversationId));
    if (found === undefined) unit.emit({ type: 'call.started', call });
    const former =
      key === null && !isLegacy ? undefined : await rows.findJoined(unit.tx, call.id, actor, key);
    if (former !== undefined) return { call, participant: former };
    if ((await rows.countParticipants(unit.tx, call.id)) >= MAX_PARTICIPANTS)
      throw new DomainError('LIMIT_EXCEEDED', `A call has at most ${MAX_PARTICIPANTS} participants.`, {
        limit: `${MAX_PARTICIPANTS} participants`,
      });
    const participant = await rows.insertParticipant(unit.tx, {
      callId: call.id,
      actor,
      isLegacy,
      idempotencyKey: key,
      nodeId: deps.callLeases.nodeId,
    });
    const account = await findAccount(unit.tx, actor);
    unit.emit({ type: 'call.participant-joined', call, joined: participant, ...account });
    return { call, participant };
  });
}

interface Departure {
  readonly left: CallParticipant;
  readonly reason: CallLeaveReason;
}

/**
 * Emits the departures of removed participants, and ends a call without any. A legacy client that remains alone has left, too: it
 * sees the end of a call only by signals, and does not answer them.
 */
async function announceLeft(unit: UnitOfWork, call: Call, departures: readonly Departure[]): Promise<void> {
  if (departures.length === 0) return;
  const last = await rows.removeOnlyLegacyParticipant(unit.tx, call.id);
  const all: readonly Departure[] =
    last === undefined ? departures : [...departures, { left: last, reason: 'LEFT' }];
  // Their names must not be erased before the commit.
  await unit.lock(...all.map(({ left }) => accountTopic(left.actor)));
  for (const departure of all) {
    const account = await findAccount(unit.tx, departure.left.actor);
    unit.emit({ type: 'call.participant-left', call, ...departure, ...account });
  }
  if ((await rows.countParticipants(unit.tx, call.id)) > 0) return;
  await rows.removeCall(unit.tx, call.id);
  unit.emit({ type: 'call.ended', call });
}

/** Returns the account as events have it; empty once it was deleted. */
async function findAccount(db: Db, actor: ActorRef) {
  const [row] = await actors.findActors(db, [actor]);
  if (row === undefined) return {};
  return row.kind === 'user' ? { user: row.user } : { device: row.device };
}

const parseKey = (key: string | null | undefined): string | null =>
  key == null ? null : parseText('idempotencyKey', key, { max: MAX_IDEMPOTENCY_KEY_LENGTH, visible: true });
