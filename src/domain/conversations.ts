import * as conversations from '../db/conversations.ts';
import { findAccessibleConversations } from '../db/conversation-access.ts';
import type { Conversation, User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { forbidden, invalidInput, notFound } from '../errors.ts';
import { circleTopic, conversationTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import { openStream } from '../events/open-stream.ts';
import type { EventStream, ReaderOptions } from '../events/stream.ts';
import type { CircleId, ConversationId, UserId } from '../ids.ts';
import { requireCaller, requireMember } from './circle-access.ts';
import {
  lockWithCircle,
  requireConversationAccess,
  requireConversationAdmin,
} from './conversation-access.ts';
import type { Deps } from './deps.ts';
import { indexById, groupBy } from '../lib/group-rows.ts';
import { addParticipants } from './participants.ts';
import { parseEmail, parseName } from '../lib/text.ts';
import type { ActorRef, Session } from '../actor.ts';

export { requireConversationAccess } from './conversation-access.ts';
export {
  inviteToConversation,
  kickFromConversation,
  leaveConversation,
  findParticipantsById,
  findParticipantsByConversations,
  promoteInConversation,
  requireParticipant,
} from './participants.ts';

const MAX_INITIAL_PARTICIPANTS = 500;

interface ConversationInput {
  readonly conversationId: ConversationId;
}

export interface CreateConversationInput {
  readonly circleId: CircleId;
  readonly name: string;
  /** Members of the circle to invite; may be empty. */
  readonly emails: readonly string[];
  /** Whether participants see how far the others have read. Default: false. */
  readonly readReceipts?: boolean;
}

/** Creates a conversation with the actor as its ADMIN. Throws NOT_FOUND for a circle or an invitee. */
export async function createConversation(
  deps: Deps,
  actor: ActorRef,
  input: CreateConversationInput,
): Promise<Conversation> {
  const { circleId, readReceipts = false } = input;
  const name = parseName('name', input.name);
  if (input.emails.length > MAX_INITIAL_PARTICIPANTS) {
    throw invalidInput('emails', `At most ${MAX_INITIAL_PARTICIPANTS} members can be invited at creation.`);
  }
  const emails = input.emails.map((email) => parseEmail('emails', email));
  return transact(deps, async (unit) => {
    await unit.lock(circleTopic(circleId));
    await requireMember(unit.tx, actor, circleId);
    const creator = await requireCaller(unit.tx, actor);
    const found = await users.findMembersByEmails(unit.tx, circleId, emails);
    const invitees = requireUniqueMembers(found).filter(({ id }) => id !== creator.id);
    const conversation = await conversations.insert(unit.tx, { circleId, name, readReceipts });
    await unit.create(conversationTopic(conversation.id));
    await addParticipants(unit, conversation.id, [creator], 'ADMIN');
    await addParticipants(unit, conversation.id, invitees, 'STANDARD');
    for (const { id } of invitees) unit.emit({ type: 'conversation.invited', userId: id, conversation });
    return conversation;
  });
}

/** Removes duplicates. Throws NOT_FOUND if one is undefined. */
function requireUniqueMembers(members: readonly (User | undefined)[]): User[] {
  const membersById = new Map<UserId, User>();
  for (const member of members) {
    if (member === undefined) throw notFound('A member of the circle with one of these e-mails');
    membersById.set(member.id, member);
  }
  return [...membersById.values()];
}

export async function updateConversation(
  deps: Deps,
  actor: ActorRef,
  input: ConversationInput & { readonly name: string },
): Promise<Conversation> {
  const name = parseName('name', input.name);
  return transact(deps, async (unit) => {
    await unit.lock(conversationTopic(input.conversationId));
    await requireConversationAdmin(unit.tx, actor, input.conversationId);
    const conversation = await conversations.rename(unit.tx, input.conversationId, name);
    unit.emit({ type: 'conversation.updated', conversation });
    return conversation;
  });
}

/** Grants or revokes the circle's device access. Publishes nothing without a change. Throws NOT_FOUND, FORBIDDEN. */
export async function setDeviceAccess(
  deps: Deps,
  actor: ActorRef,
  input: ConversationInput & { readonly allowed: boolean },
): Promise<Conversation> {
  const { conversationId, allowed } = input;
  return transact(deps, async (unit) => {
    // The circle too: its device must not be removed before the commit.
    await lockWithCircle(unit, conversationId);
    const { conversation: found, participant } = await requireConversationAccess(
      unit.tx,
      actor,
      conversationId,
    );
    if (participant === null ? allowed : participant.role !== 'ADMIN') {
      throw forbidden(
        'Only an admin of the conversation may do this; the device may only give up its access.',
      );
    }
    if (found.deviceAccess === allowed) return found;
    const conversation = await conversations.setDeviceAccess(unit.tx, conversationId, allowed);
    unit.emit({ type: 'device-access.changed', conversation, allowed, removed: false });
    return conversation;
  });
}

/** Returns a conversation. Throws NOT_FOUND unless the actor takes part in it. */
export async function requireConversation(
  deps: Deps,
  actor: ActorRef,
  id: ConversationId,
): Promise<Conversation> {
  const { conversation } = await requireConversationAccess(deps.db, actor, id);
  return conversation;
}

/** Finds, in each circle, the conversations in which the actor takes part. */
export async function findConversationsByCircles(
  deps: Deps,
  actor: ActorRef,
  circleIds: readonly CircleId[],
): Promise<Map<CircleId, Conversation[]>> {
  const found = await findAccessibleConversations(deps.db, actor, circleIds);
  return groupBy(circleIds, found, (conversation) => conversation.circleId);
}

/** Finds conversations without an access check, for ids that the actor was already shown. */
export async function findConversationsById(
  deps: Deps,
  ids: readonly ConversationId[],
): Promise<Map<ConversationId, Conversation>> {
  return indexById(await conversations.findByIds(deps.db, ids));
}

export async function openConversationEvents(
  deps: Deps,
  session: Session,
  input: ConversationInput & { readonly after: string | null },
  options: ReaderOptions = {},
): Promise<EventStream> {
  return openStream(deps, {
    topic: conversationTopic(input.conversationId),
    actor: session.actor,
    after: input.after,
    authorize: async () => {
      const allowed = await deps.batchedReads.hasAccess(session.actor, input.conversationId);
      if (!allowed) throw notFound('The conversation');
    },
    signal: options.signal,
    budget: options.budget,
  });
}
