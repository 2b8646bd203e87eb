import type { Db, Tx } from '../db/database.ts';
import * as keys from '../db/idempotency-keys.ts';
import * as mediaRows from '../db/media.ts';
import * as rows from '../db/messages.ts';
import { findSenders } from '../db/conversation-access.ts';
import type { Sender } from '../db/conversation-access.ts';
import type { Media, Message } from '../db/tables.ts';
import { conflict, isUnavailable, notFound } from '../errors.ts';
import type { Bus } from '../events/bus.ts';
import { accountTopic, conversationTopic } from '../events/event.ts';
import type { ActorView, Topic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { ConversationId, MessageId } from '../ids.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { ActorRef } from '../actor.ts';
import { actorKey } from '../actor.ts';
import type { ReportRefusal } from '../services/refusals.ts';

/** Larger batches delay their first sends, and hold conversation locks for longer than batching saves. */
const MAX_BATCH_SIZE = 128;
/** One batch is prepared while the database runs another; more would only make batches smaller. */
const CONCURRENCY = 2;
/** Extra batches while one is slow: a conversation locked for long must delay only the sends in its own batch. */
const EXTRA_WHEN_SLOW = 2;
const SLOW_AFTER_MS = 500;
/** Approximate bytes. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
const SEND_OVERHEAD_BYTES = 1_000;

/** A message with all that clients display. */
export interface SentMessage {
  readonly message: Message;
  readonly author: ActorView;
  readonly media: readonly Media[];
}

/** A validated request to send a message. */
export interface Send {
  readonly actor: ActorRef;
  readonly conversationId: ConversationId;
  readonly text: string;
  readonly files: readonly string[];
  readonly key: string | null;
}

/** Sends messages; concurrent sends share a transaction. */
export interface SendBatcher {
  /** Throws NOT_FOUND, CONFLICT, and RATE_LIMITED when the queue is full. */
  send(send: Send): Promise<SentMessage>;
}

export interface SendBatcherDeps {
  readonly db: Db;
  readonly bus: Bus;
  readonly reportRefusal?: ReportRefusal | undefined;
}

type Outcome = { readonly sent: SentMessage } | { readonly error: unknown };

export function createSendBatcher(deps: SendBatcherDeps): SendBatcher {
  const batcher = createBatcher<Send, Outcome>((sends) => sendBatch(deps, sends), {
    maxBatchSize: MAX_BATCH_SIZE,
    concurrency: CONCURRENCY,
    extraWhenSlow: EXTRA_WHEN_SLOW,
    slowAfterMs: SLOW_AFTER_MS,
    partitionBy: (send) => send.conversationId,
    maxQueuedSize: MAX_QUEUED_BYTES,
    sizeOf: approximateSize,
    onFull: ({ actor: account }) => deps.reportRefusal?.('queued writes', { account }),
  });
  return {
    async send(send) {
      return unwrap(await batcher.submit(send));
    },
  };
}

const approximateSize = ({ text, files }: Send): number =>
  files.reduce((bytes, file) => bytes + 2 * file.length, SEND_OVERHEAD_BYTES + 2 * text.length);

/** Runs all sends in one transaction; if that fails, each in its own, so that one send cannot fail the others. */
async function sendBatch(deps: SendBatcherDeps, sends: readonly Send[]): Promise<Outcome[]> {
  try {
    return await transact(deps, (unit) => sendAll(unit, sends));
  } catch (error) {
    // When the connection was lost the batch may have been committed: a retry would send it twice.
    if (sends.length === 1 || isUnavailable(error)) throw error;
    const outcomes: Outcome[] = [];
    for (const send of sends) {
      outcomes.push(
        await sendSingle(deps, send).then(
          (sent) => ({ sent }),
          (error: unknown) => ({ error }),
        ),
      );
    }
    return outcomes;
  }
}

/** Sends a message in a transaction of its own. */
export async function sendSingle(deps: SendBatcherDeps, send: Send): Promise<SentMessage> {
  const [outcome] = await transact(deps, (unit) => sendAll(unit, [send]));
  return unwrap(outcome);
}

function unwrap(outcome: Outcome | undefined): SentMessage {
  if (outcome !== undefined && 'sent' in outcome) return outcome.sent;
  throw outcome?.error;
}

async function sendAll(unit: UnitOfWork, sends: readonly Send[]): Promise<Outcome[]> {
  await unit.lock(...sends.flatMap(topicsOf));
  const requests = sends.map(({ actor, conversationId }) => ({ actor, conversationId }));
  const senders = await findSenders(unit.tx, requests);
  const accepted = await claimKeys(unit.tx, sends, senders);
  const sent = new Map<MessageId, SentMessage>();
  for (const sentMessage of await insertAll(unit.tx, accepted)) {
    sent.set(sentMessage.message.id, sentMessage);
    unit.emit({ type: 'message.sent', ...sentMessage });
  }
  const outcomes: Outcome[] = [];
  for (const [index, send] of sends.entries()) {
    const sender = senders[index];
    const sentMessage = sender && sent.get(sender.messageId);
    if (sender === undefined) outcomes.push({ error: notFound('The conversation') });
    else if (sentMessage === undefined) outcomes.push(await findFirstSend(unit.tx, send, sender));
    else outcomes.push({ sent: sentMessage });
  }
  return outcomes;
}

/** Includes a device's own topic: the message references the device, which must not be removed before the commit. */
const topicsOf = ({ actor, conversationId }: Send): Topic[] =>
  actor.kind === 'device'
    ? [conversationTopic(conversationId), accountTopic(actor)]
    : [conversationTopic(conversationId)];

interface Accepted {
  readonly send: Send;
  readonly sender: Sender;
}

/** Returns the sends with access whose idempotency key was not used before. */
async function claimKeys(
  tx: Tx,
  sends: readonly Send[],
  senders: readonly (Sender | undefined)[],
): Promise<Accepted[]> {
  const allowed = sends.flatMap((send, index): Accepted[] => {
    const sender = senders[index];
    return sender === undefined ? [] : [{ send, sender }];
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
