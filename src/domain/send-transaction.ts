import type { Tx } from '../db/database.ts';
import * as keys from '../db/idempotency-keys.ts';
import * as mediaRows from '../db/media.ts';
import * as rows from '../db/messages.ts';
import { findSenders } from '../db/conversation-access.ts';
import type { Sender } from '../db/conversation-access.ts';
import type { Media, Message } from '../db/tables.ts';
import { conflict, notFound, unauthenticated } from '../errors.ts';
import { accountTopic, conversationTopic } from '../events/event.ts';
import type { ActorView, Topic } from '../events/event.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { ConversationId, MessageId } from '../ids.ts';
import type { ActorRef, Session } from '../actor.ts';
import type { TraceParent } from '../tracing.ts';
import { actorKey } from '../actor.ts';

/** A message with all that clients display. */
export interface SentMessage {
  readonly message: Message;
  readonly author: ActorView;
  readonly media: readonly Media[];
}

/** A validated request to send a message. */
export interface Send {
  readonly actor: ActorRef;
  /** The session of the actor, whose end refuses the send; undefined for a send of the server itself. */
  readonly session?: Session | undefined;
  readonly conversationId: ConversationId;
  readonly text: string;
  readonly files: readonly string[];
  readonly key: string | null;
  /** The span that the send is a part of; undefined if it is not traced. */
  readonly trace?: TraceParent | undefined;
}

/** The result of a send that does not fail those in the same transaction. */
export type Outcome = { readonly sent: SentMessage } | { readonly error: unknown };

export function unwrap(outcome: Outcome | undefined): SentMessage {
  if (outcome !== undefined && 'sent' in outcome) return outcome.sent;
  throw outcome?.error;
}

/** Sends messages in one transaction. Returns an outcome for each. */
export async function sendAll(unit: UnitOfWork, sends: readonly Send[]): Promise<Outcome[]> {
  await unit.lock(...sends.flatMap(topicsOf));
  // After the locks, for which the sends may have waited while a session ended.
  const senders = await findSenders(unit.tx, sends);
  const accepted = await claimKeys(unit.tx, sends, senders);
  const traces = tracesOf(accepted);
  const sent = new Map<MessageId, SentMessage>();
  for (const sentMessage of await insertAll(unit.tx, accepted)) {
    sent.set(sentMessage.message.id, sentMessage);
    unit.emit({ type: 'message.sent', ...sentMessage }, traces?.get(sentMessage.message.id));
  }
  const outcomes: Outcome[] = [];
  for (const [index, send] of sends.entries()) {
    const sender = senders[index];
    const sentMessage = sender && sent.get(sender.messageId);
    if (sender === undefined) outcomes.push({ error: notFound('The conversation') });
    else if (!sender.isActive) outcomes.push({ error: unauthenticated() });
    else if (sentMessage === undefined) outcomes.push(await findFirstSend(unit.tx, send, sender));
    else outcomes.push({ sent: sentMessage });
  }
  return outcomes;
}

/** Returns the spans of messages; undefined if none is traced. */
function tracesOf(accepted: readonly Accepted[]): ReadonlyMap<MessageId, TraceParent> | undefined {
  const traced = accepted.flatMap(({ send: { trace }, sender: { messageId } }) =>
    trace === undefined ? [] : [[messageId, trace] as const],
  );
  return traced.length === 0 ? undefined : new Map(traced);
}

/** Includes a device's own topic: the message references the device, which must not be removed before the commit. */
export const topicsOf = ({ actor, conversationId }: Send): Topic[] =>
  actor.kind === 'device'
    ? [conversationTopic(conversationId), accountTopic(actor)]
    : [conversationTopic(conversationId)];

interface Accepted {
  readonly send: Send;
  readonly sender: Sender;
}

/** Returns the sends with access and an active session whose idempotency key was not used before. */
async function claimKeys(
  tx: Tx,
  sends: readonly Send[],
  senders: readonly (Sender | undefined)[],
): Promise<Accepted[]> {
  const allowed = sends.flatMap((send, index): Accepted[] => {
    const sender = senders[index];
    return sender?.isActive === true ? [{ send, sender }] : [];
  });
  const claims = allowed.flatMap(({ send: { actor, key }, sender: { messageId } }) =>
    key === null ? [] : [{ account: actorKey(actor), key, messageId }],
  );
  if (claims.length === 0) return allowed;
  const claimed = await keys.claimKeys(tx, claims);
  return allowed.filter(({ send, sender }) => send.key === null || claimed.has(sender.messageId));
}

/** Inserts messages in the order of their ids, so that events have the same order. */
async function insertAll(tx: Tx, accepted: readonly Accepted[]): Promise<SentMessage[]> {
  if (accepted.length === 0) return [];
  const inOrder = accepted.toSorted((a, b) => a.sender.messageId - b.sender.messageId);
  const stored = await rows.insert(tx, inOrder.map(toNewMessage));
  return stored.flatMap((message, index) => {
    const author = inOrder[index]?.sender.actor;
    return author === undefined ? [] : [{ ...message, author }];
  });
}

const toNewMessage = ({ send, sender }: Accepted): rows.NewMessage => ({
  id: sender.messageId,
  conversationId: send.conversationId,
  author: send.actor,
  participantId: sender.participantId,
  text: send.text,
  files: send.files,
  sentAt: sender.at,
});

/** Returns the message that was first sent with the idempotency key. */
async function findFirstSend(tx: Tx, { actor, conversationId, key }: Send, sender: Sender): Promise<Outcome> {
  const message = await keys.findMessage(tx, actorKey(actor), key ?? '');
  if (message === undefined)
    return { error: conflict('The message that was sent with this idempotency key was deleted.') };
  if (message.conversationId !== conversationId) {
    return { error: conflict('This idempotency key was used in another conversation.') };
  }
  const media = (await mediaRows.findByMessages(tx, [message.id])).map(asPendingMedia);
  const status = media.length === 0 ? 'DONE' : 'PENDING';
  return { sent: { message: { ...message, status }, author: sender.actor, media } };
}

/** Restores the state of the first response, whatever was uploaded since. */
const asPendingMedia = (media: Media): Media => ({
  ...media,
  filename: null,
  extension: null,
  contentType: null,
  size: null,
  uploadedAt: null,
});
