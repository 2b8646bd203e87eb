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
import type { ConversationId, MediaId, MessageId } from '../ids.ts';
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

/**
 * Sends messages in one transaction, in two turns to the database: what was read behind the locks, and then all changes
 * with the commit. Returns an outcome for each.
 */
export async function sendAll(unit: UnitOfWork, sends: readonly Send[]): Promise<Outcome[]> {
  // Behind the locks, for which the sends may have waited while a session ended.
  const [senders, claimed, mediaIds] = await unit.lockAndRead(sends.flatMap(topicsOf), () =>
    Promise.all([
      findSenders(unit.tx, sends),
      keys.findClaimed(unit.tx, sends.flatMap(keyOf)),
      mediaRows.reserveIds(unit.tx, sends.flatMap(({ files }) => files).length),
    ]),
  );
  const accepted = accept(sends, senders, claimed);
  const traces = tracesOf(accepted);
  const sent = new Map<MessageId, SentMessage>();
  for (const sentMessage of insertAll(unit, accepted, mediaIds)) {
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

const keyOf = ({ actor, key }: Send): keys.AccountKey[] =>
  key === null ? [] : [{ account: actorKey(actor), key }];

/** Returns the sends with access and an active session whose idempotency key was not used before. */
function accept(
  sends: readonly Send[],
  senders: readonly (Sender | undefined)[],
  claimed: readonly keys.AccountKey[],
): Accepted[] {
  const used = new Set(claimed.map(textOf));
  const accepted: Accepted[] = [];
  for (const [index, send] of sends.entries()) {
    const sender = senders[index];
    if (sender?.isActive !== true) continue;
    const [key] = keyOf(send).map(textOf);
    if (key !== undefined && used.has(key)) continue;
    if (key !== undefined) used.add(key);
    accepted.push({ send, sender });
  }
  return accepted;
}

/** An account has no space. */
const textOf = ({ account, key }: keys.AccountKey): string => `${account} ${key}`;

/** Inserts the messages of the sends, whose ids ascend, as the positions of their events do. Returns them. */
function insertAll(
  unit: UnitOfWork,
  accepted: readonly Accepted[],
  mediaIds: readonly MediaId[],
): SentMessage[] {
  if (accepted.length === 0) return [];
  const unused = mediaIds.values();
  const messages = accepted.map((each) => toMessage(each, unused));
  const claims = accepted.flatMap(({ send, sender: { messageId } }) =>
    keyOf(send).map((key) => ({ ...key, messageId })),
  );
  if (claims.length > 0) unit.write(keys.claimKeys(unit.tx, claims));
  unit.write(rows.insert(unit.tx, messages));
  return messages;
}

const toMessage = ({ send, sender }: Accepted, mediaIds: Iterator<MediaId>): SentMessage => ({
  ...rows.createMessage({
    id: sender.messageId,
    conversationId: send.conversationId,
    author: send.actor,
    participantId: sender.participantId,
    text: send.text,
    files: send.files.map((identifier) => ({ id: next(mediaIds), identifier })),
    sentAt: sender.at,
  }),
  author: sender.actor,
});

function next(mediaIds: Iterator<MediaId>): MediaId {
  const { value } = mediaIds.next();
  if (value === undefined) throw new Error('A file has no id');
  return value;
}

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
