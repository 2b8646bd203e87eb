// Redacts the log in the transaction that deletes: a reader of the log sees that something was deleted, never what.

import type { ActorRef } from '../actor.ts';
import type { Db, Tx } from '../db/database.ts';
import * as rows from '../db/event-subjects.ts';
import type { EventKey, StoredEvent } from '../db/event-subjects.ts';
import type { Media, Message } from '../db/tables.ts';
import type { MediaId, MessageId } from '../ids.ts';
import { accountTopic, conversationTopic } from './event.ts';
import type { DomainEvent, MessageEvent, Topic } from './event.ts';
import { asRedacted, labelsOf, withCurrent, withoutAccount, withoutContents } from './redaction.ts';

/** Events or messages per statement, which bounds memory. */
const BATCH_SIZE = 200;

/** Redacts all events of a deleted message. Requires the lock of its conversation. */
export async function eraseMessage(tx: Tx, message: Message): Promise<void> {
  await rewriteMessage(tx, message, asRedacted);
}

/**
 * Removes the former text of a message from its events, before the `message.updated` with the current one is emitted.
 * Requires the lock of its conversation.
 */
export async function eraseFormerText(tx: Tx, message: Message, media: readonly Media[]): Promise<void> {
  await rewriteMessage(tx, message, (event) =>
    event.type === 'message.updated' ? asRedacted(event) : withCurrent(event, message, media),
  );
}

/**
 * Removes the former name of a replaced file from the events of its message, before the `media.uploaded` with the
 * current one is emitted. Requires the lock of the conversation.
 */
export async function eraseFormerFile(
  tx: Tx,
  message: Message,
  media: readonly Media[],
  replacedId: MediaId,
): Promise<void> {
  await rewriteMessage(tx, message, (event) =>
    event.type === 'media.uploaded' && event.uploaded.id === replacedId
      ? asRedacted(event)
      : withCurrent(event, message, media),
  );
}

async function rewriteMessage(
  tx: Tx,
  { id, conversationId }: Message,
  redact: (event: MessageEvent) => DomainEvent,
): Promise<void> {
  const found = await rows.findByMessages(tx, [id]);
  const unlabelled = await rows.findUnlabelledOf(tx, conversationTopic(conversationId));
  await replace(tx, [...found, ...unlabelled], (event) =>
    'message' in event && event.message.id === id ? redact(event) : event,
  );
}

/**
 * Waits until no other transaction erases accounts or topics, which deletes and redacts rows of topics whose locks it does
 * not hold. Call it after the locks of all topics are taken and before the first row is deleted, to prevent deadlocks.
 */
export const lockErasure = rows.lockRedaction;

/**
 * Redacts all events of deleted conversations and circles, and those of other topics about them. Requires their locks
 * and `lockErasure`.
 */
export async function eraseTopics(tx: Tx, topics: readonly Topic[]): Promise<void> {
  if (topics.length === 0) return;
  await labelAll(tx);
  await redactPages(tx, withoutContents, (limit, after) => rows.findByTopics(tx, topics, limit, after));
  await redactPages(tx, withoutContents, (limit, after) => rows.findBySubjects(tx, topics, limit, after));
}

/**
 * Redacts the data of an account in all topics. Requires the locks of its topics, `lockErasure`, and that its messages
 * still name it as their author.
 */
export async function eraseAccount(tx: Tx, actor: ActorRef): Promise<void> {
  await labelAll(tx);
  const redact = (event: DomainEvent) => withoutAccount(event, actor);
  await redactPages(tx, redact, (limit, after) =>
    rows.findBySubjects(tx, [accountTopic(actor)], limit, after),
  );
  for (let last: MessageId | undefined = 0 as MessageId; last !== undefined;) {
    const ids: MessageId[] = await rows.findIdsByAuthor(tx, actor, BATCH_SIZE, last);
    await replace(tx, await rows.findByMessages(tx, ids), redact);
    last = ids.at(-1);
  }
}

async function redactPages(
  tx: Tx,
  redact: (event: DomainEvent) => DomainEvent,
  readPage: (limit: number, after?: EventKey) => Promise<StoredEvent[]>,
): Promise<void> {
  for (let page = await readPage(BATCH_SIZE); page.length > 0;) {
    await replace(tx, page, redact);
    page = page.length < BATCH_SIZE ? [] : await readPage(BATCH_SIZE, page.at(-1));
  }
}

async function replace(
  tx: Tx,
  stored: readonly StoredEvent[],
  redact: (event: DomainEvent) => DomainEvent,
): Promise<void> {
  const redacted = stored.map(({ topic, seq, event }) => {
    const replacement = redact(event as DomainEvent);
    return { topic, seq, event: replacement, ...labelsOf(replacement) };
  });
  await rows.replace(tx, redacted);
}

/** Labels the events from before migration 0005 and of nodes of an older version. */
async function labelAll(tx: Tx): Promise<void> {
  for (;;) {
    const found = await rows.findUnlabelled(tx, BATCH_SIZE, false);
    if (found.length === 0) return;
    await replace(tx, found, (event) => event);
  }
}

/** Labels a batch of unlabelled events, without waiting for locks. Returns their number. */
export async function labelEvents(db: Db): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const found = await rows.findUnlabelled(tx, BATCH_SIZE, true);
    await replace(tx, found, (event) => event);
    return found.length;
  });
}
