import type { Db, Tx } from '../db/database.ts';
import type { Conversation, Participant } from '../db/tables.ts';
import type { ActorView } from '../events/event.ts';
import type { EventStream } from '../events/stream.ts';
import type { CircleId, ConversationId, ParticipantId } from '../ids.ts';
import type { Actor, Session } from './actor.ts';
import type { Deps } from './deps.ts';

interface TargetInput {
  readonly conversationId: ConversationId;
  readonly email: string;
}

export interface CreateConversationInput {
  readonly circleId: CircleId;
  readonly name: string;
  /** Members of the circle to take part from the start; may be empty. */
  readonly emails: readonly string[];
}

/** A conversation that the actor may read and write in. */
export interface ConversationAccess {
  readonly conversation: Conversation;
  /** As what a user takes part; null for the circle's device. */
  readonly participant: Participant | null;
}

export async function createConversation(
  _deps: Deps,
  _actor: Actor,
  _input: CreateConversationInput,
): Promise<Conversation> {
  throw new Error('not yet');
}

export async function updateConversation(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly conversationId: ConversationId; readonly name: string },
): Promise<Conversation> {
  throw new Error('not yet');
}

export async function inviteToConversation(
  _deps: Deps,
  _actor: Actor,
  _input: TargetInput,
): Promise<Conversation> {
  throw new Error('not yet');
}

/** Answers the conversation as it was: it may be gone with the one who left. */
export async function leaveConversation(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly conversationId: ConversationId },
): Promise<Conversation> {
  throw new Error('not yet');
}

/** Answers the conversation as it was: it may be gone with the one who was kicked. */
export async function kickFromConversation(
  _deps: Deps,
  _actor: Actor,
  _input: TargetInput,
): Promise<Conversation> {
  throw new Error('not yet');
}

/** Hands the actor's own role over. */
export async function promoteInConversation(
  _deps: Deps,
  _actor: Actor,
  _input: TargetInput,
): Promise<Conversation> {
  throw new Error('not yet');
}

export async function setDeviceAccess(
  _deps: Deps,
  _actor: Actor,
  _input: { readonly conversationId: ConversationId; readonly allowed: boolean },
): Promise<Conversation> {
  throw new Error('not yet');
}

/** Throws NOT_FOUND unless the actor takes part in the conversation. */
export async function requireConversation(
  _deps: Deps,
  _actor: Actor,
  _id: ConversationId,
): Promise<Conversation> {
  throw new Error('not yet');
}

/** The one rule on who may read and write. Throws NOT_FOUND unless the actor takes part in the conversation. */
export async function requireConversationAccess(
  _db: Db | Tx,
  _actor: Actor,
  _id: ConversationId,
): Promise<ConversationAccess> {
  throw new Error('not yet');
}

/** The conversations of each circle in which the actor takes part. */
export async function conversationsOf(
  _deps: Deps,
  _actor: Actor,
  _circleIds: readonly CircleId[],
): Promise<Map<CircleId, Conversation[]>> {
  throw new Error('not yet');
}

/** Participants of each conversation, oldest first. Checks nothing. */
export async function participantsOfConversations(
  _deps: Deps,
  _ids: readonly ConversationId[],
): Promise<Map<ConversationId, Participant[]>> {
  throw new Error('not yet');
}

/** Throws NOT_FOUND unless the actor takes part in the participant's conversation. */
export async function requireParticipant(
  _deps: Deps,
  _actor: Actor,
  _id: ParticipantId,
): Promise<Participant> {
  throw new Error('not yet');
}

/** Those that still take part. Checks nothing. */
export async function participantsById(
  _deps: Deps,
  _ids: readonly ParticipantId[],
): Promise<Map<ParticipantId, Participant>> {
  throw new Error('not yet');
}

/** For conversations that the actor was already shown: checks nothing. */
export async function conversationsById(
  _deps: Deps,
  _ids: readonly ConversationId[],
): Promise<Map<ConversationId, Conversation>> {
  throw new Error('not yet');
}

export async function openConversationEvents(
  _deps: Deps,
  _session: Session,
  _input: { readonly conversationId: ConversationId; readonly after: string | null },
  _signal: AbortSignal | undefined,
): Promise<EventStream> {
  throw new Error('not yet');
}

/** Who begins and stops typing, from now on. */
export async function openTyping(
  _deps: Deps,
  _session: Session,
  _input: { readonly conversationId: ConversationId },
  _signal: AbortSignal | undefined,
): Promise<AsyncIterableIterator<{ readonly actor: ActorView; readonly isTyping: boolean }>> {
  throw new Error('not yet');
}
