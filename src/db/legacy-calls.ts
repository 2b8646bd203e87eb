import { sql } from 'kysely';
import type { ActorRef } from '../actor.ts';
import type { CallParticipantId, ConversationId } from '../ids.ts';
import { CALL_COLUMNS, isBy } from './calls.ts';
import { accessCondition } from './conversation-access.ts';
import type { Db } from './database.ts';
import type { Call } from './tables.ts';

/**
 * Finds the conversation of a call that the actor sets up with the target by signals: one that both have access to. Prefers that
 * with the id, then one with a call in progress, then that with the fewest participants, then the newest.
 */
export async function findSharedConversation(
  db: Db,
  actor: ActorRef,
  target: ActorRef,
  preferredId: ConversationId | undefined,
): Promise<ConversationId | undefined> {
  const { rows } = await sql<{ id: ConversationId }>`
    select conversations.id
    from conversations left join calls on calls.conversation_id = conversations.id
    where ${accessCondition(actor, sql.ref('conversations.id'))} and ${accessCondition(target, sql.ref('conversations.id'))}
    order by conversations.id = ${preferredId ?? 0} desc, calls.id is null,
      (select count(*) from participants where participants.conversation_id = conversations.id), conversations.id desc
    limit 1
  `.execute(db);
  return rows[0]?.id;
}

/** A participant of a legacy client, with its call. */
export interface LegacyParticipant {
  readonly participantId: CallParticipantId;
  readonly call: Call;
}

/** Finds the participants of the actor's legacy clients, in calls that the target has access to. */
export async function findLegacyParticipants(
  db: Db,
  actor: ActorRef,
  target: ActorRef,
): Promise<LegacyParticipant[]> {
  const rows = await db
    .selectFrom('callParticipants')
    .innerJoin('calls', 'calls.id', 'callParticipants.callId')
    .select(CALL_COLUMNS)
    .select('callParticipants.id as participantId')
    .where(isBy(actor))
    .where('isLegacy', '=', true)
    .where(accessCondition(target, sql.ref<ConversationId>('calls.conversation_id')))
    .execute();
  return rows.map(({ participantId, ...call }) => ({ participantId, call }));
}
