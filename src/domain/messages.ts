import * as mediaRows from '../db/media.ts';
import * as rows from '../db/messages.ts';
import type { Message } from '../db/tables.ts';
import { invalidInput, notFound } from '../errors.ts';
import { conversationTopic } from '../events/event.ts';
import type { ActorView } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { ConversationId, MessageId } from '../ids.ts';
import { requireAuthor } from './conversation-access.ts';
import { requireConversationAccess } from './conversation-access.ts';
import type { Deps } from './deps.ts';
import { byId } from '../lib/group-rows.ts';
import type { Send, SentMessage } from './send-batch.ts';
import { looksEmpty, MAX_FILE_IDENTIFIER, MAX_MESSAGE_TEXT, parseText } from '../lib/text.ts';
import { removeUnusedFiles } from '../services/retention.ts';
import type { ActorRef } from '../actor.ts';
import { actorKey } from '../actor.ts';

export type { SentMessage } from './send-batch.ts';

const MAX_FILES = 20;
const MAX_KEY = 200;

export interface SendInput {
  readonly conversationId: ConversationId;
  readonly text?: string | null | undefined;
  /** What the sender calls the files that will be uploaded. */
  readonly files?: readonly string[] | null | undefined;
  /** Sending again with the same key answers the first message again. */
  readonly idempotencyKey?: string | null | undefined;
  /** Whether it is refused when there is nothing visible in it: only the legacy wire allows that. */
  readonly refuseBlank?: boolean;
}

/**
 * Sends a message. Throws NOT_FOUND unless the actor takes part in the conversation, INVALID_INPUT, RATE_LIMITED,
 * and CONFLICT when the key was used for another conversation or for a message that is deleted.
 */
export async function sendMessage(deps: Deps, actor: ActorRef, input: SendInput): Promise<SentMessage> {
  await deps.rateLimits.consume('send', actorKey(actor));
  const { conversationId } = input;
  return deps.sendBatcher.send({ actor, conversationId, ...(await requireContent(deps, actor, input)) });
}

/** Throws INVALID_INPUT, but NOT_FOUND to one who takes no part, whatever the message is like. */
async function requireContent(deps: Deps, actor: ActorRef, input: SendInput): Promise<Content> {
  try {
    return parseContent(input);
  } catch (error) {
    await requireConversationAccess(deps.db, actor, input.conversationId);
    throw error;
  }
}

type Content = Pick<Send, 'text' | 'files' | 'key'>;

function parseContent({ text, files, idempotencyKey, refuseBlank = false }: SendInput): Content {
  return {
    text: parseMessageText(text ?? '', !refuseBlank || (files ?? []).length > 0),
    files: parseFiles(files ?? []),
    key:
      idempotencyKey == null
        ? null
        : parseText('idempotencyKey', idempotencyKey, { max: MAX_KEY, visible: true }),
  };
}

function parseMessageText(value: string, mayBeBlank: boolean): string {
  const text = parseText('text', value, { max: MAX_MESSAGE_TEXT });
  if (!mayBeBlank && looksEmpty(text))
    throw invalidInput('text', 'A message without files must have a text in which something is visible.');
  return text;
}

function parseFiles(files: readonly string[]): string[] {
  if (files.length > MAX_FILES) throw invalidInput('files', `A message has at most ${MAX_FILES} files.`);
  return files.map((file) => parseText('files', file, { max: MAX_FILE_IDENTIFIER }));
}

/** Changes a message's text. Throws NOT_FOUND, FORBIDDEN unless the actor wrote it and still takes part. */
export async function updateMessage(
  deps: Deps,
  actor: ActorRef,
  { messageId, ...input }: { readonly messageId: MessageId; readonly text: string },
): Promise<Message> {
  await deps.rateLimits.consume('send', actorKey(actor));
  parseMessageText(input.text, true);
  return transact(deps, async (unit) => {
    const { author, message: before } = await lockOwnMessage(unit, actor, messageId);
    const text = parseMessageText(input.text, before.mediaCount > 0);
    const message = await rows.setText(unit.tx, messageId, text);
    const media = await mediaRows.findByMessages(unit.tx, [messageId]);
    unit.emit({ type: 'message.updated', message, author, media });
    return message;
  });
}

/** Deletes a message with its files, and answers it as it was. Throws as `updateMessage` does. */
export async function deleteMessage(
  deps: Deps,
  actor: ActorRef,
  { messageId }: { readonly messageId: MessageId },
): Promise<Message> {
  const deleted = await transact(deps, async (unit) => {
    const { message } = await lockOwnMessage(unit, actor, messageId);
    await rows.remove(unit.tx, messageId);
    const { conversationId } = message;
    unit.emit({ type: 'message.deleted', conversationId, messageId });
    return message;
  });
  if (deleted.mediaCount > 0) await removeUnusedFiles(deps);
  return deleted;
}

/** A message of the actor's own, which stays as it is read here until the commit. */
async function lockOwnMessage(
  unit: UnitOfWork,
  actor: ActorRef,
  id: MessageId,
): Promise<{ readonly message: Message; readonly author: ActorView }> {
  const named = await rows.findById(unit.tx, id);
  if (named === undefined) throw notFound('The message');
  await unit.lock(conversationTopic(named.conversationId));
  const message = await rows.findById(unit.tx, id);
  if (message === undefined) throw notFound('The message');
  return { message, author: await requireAuthor(unit.tx, actor, message, 'The message') };
}

/** A message that the actor may read. Throws NOT_FOUND. */
export async function requireMessage(deps: Deps, actor: ActorRef, id: MessageId): Promise<Message> {
  const [message] = await rows.findReadable(deps.db, actor, [id]);
  if (message === undefined) throw notFound('The message');
  return message;
}

/** Those of the messages that the actor may read. */
export async function findReadableMessages(
  deps: Deps,
  actor: ActorRef,
  ids: readonly MessageId[],
): Promise<Map<MessageId, Message>> {
  return byId(await rows.findReadable(deps.db, actor, ids));
}

/** A page of every conversation: messages between two others, exclusively, from one end. */
export interface MessagesPage {
  readonly after?: MessageId | undefined;
  readonly before?: MessageId | undefined;
  readonly limit: number;
  /** Takes the newest ones and answers them newest first, instead of the oldest, oldest first. */
  readonly newestFirst: boolean;
}

/** A page of the messages of each conversation, which the caller may read, in one statement. */
export async function findMessagePages(
  deps: Deps,
  conversationIds: readonly ConversationId[],
  page: MessagesPage,
): Promise<ReadonlyMap<ConversationId, readonly Message[]>> {
  const messages = await rows.findPages(deps.db, conversationIds, page);
  return Map.groupBy(messages, (message) => message.conversationId);
}
