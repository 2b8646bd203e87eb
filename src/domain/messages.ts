import * as mediaRows from '../db/media.ts';
import * as rows from '../db/messages.ts';
import type { Message } from '../db/tables.ts';
import { invalidInput, notFound } from '../errors.ts';
import { conversationTopic } from '../events/event.ts';
import type { ActorView } from '../events/event.ts';
import { eraseFormerText, eraseMessage } from '../events/erasure.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { ConversationId, MessageId } from '../ids.ts';
import { requireAuthor, requireConversationAccess } from './conversation-access.ts';
import type { Deps } from './deps.ts';
import { indexById } from '../lib/group-rows.ts';
import type { Send, SentMessage } from './send-transaction.ts';
import { looksEmpty, MAX_FILE_IDENTIFIER_LENGTH, MAX_MESSAGE_LENGTH, parseText } from '../lib/text.ts';
import { removeUnusedFiles } from '../services/retention.ts';
import type { ActorRef, Session } from '../actor.ts';

export type { SentMessage } from './send-transaction.ts';

const MAX_FILES = 20;
const MAX_IDEMPOTENCY_KEY_LENGTH = 200;

export interface SendInput {
  readonly conversationId: ConversationId;
  readonly text?: string | null | undefined;
  /** The sender's identifiers of the files that it will upload. */
  readonly files?: readonly string[] | null | undefined;
  /** A repeated send with the same key returns the first message. */
  readonly idempotencyKey?: string | null | undefined;
  /** The session of the actor, whose end refuses the send; undefined for a send of the server itself. */
  readonly session?: Session | undefined;
  /** Rejects a text without visible characters; the legacy channel accepts one. */
  readonly rejectBlank?: boolean;
}

/**
 * Sends a message. Throws NOT_FOUND unless the actor takes part in the conversation, UNAUTHENTICATED if the session has
 * ended, INVALID_INPUT, RATE_LIMITED, and CONFLICT if the key was used in another conversation or its message was deleted.
 */
export async function sendMessage(deps: Deps, actor: ActorRef, input: SendInput): Promise<SentMessage> {
  await deps.rateLimits.consume('send', { account: actor });
  const { conversationId, session } = input;
  const content = await requireContent(deps, actor, input);
  return deps.sendBatcher.send({ actor, session, conversationId, ...content });
}

/** Throws INVALID_INPUT; NOT_FOUND takes precedence, so that errors do not reveal a conversation. */
async function requireContent(deps: Deps, actor: ActorRef, input: SendInput): Promise<MessageContent> {
  try {
    return parseContent(input);
  } catch (error) {
    await requireConversationAccess(deps.db, actor, input.conversationId);
    throw error;
  }
}

type MessageContent = Pick<Send, 'text' | 'files' | 'key'>;

function parseContent({ text, files, idempotencyKey, rejectBlank = false }: SendInput): MessageContent {
  return {
    text: parseMessageText(text ?? '', !rejectBlank || (files ?? []).length > 0),
    files: parseFiles(files ?? []),
    key:
      idempotencyKey == null
        ? null
        : parseText('idempotencyKey', idempotencyKey, { max: MAX_IDEMPOTENCY_KEY_LENGTH, visible: true }),
  };
}

function parseMessageText(value: string, allowBlank: boolean): string {
  const text = parseText('text', value, { max: MAX_MESSAGE_LENGTH });
  if (!allowBlank && looksEmpty(text))
    throw invalidInput('text', 'A message without files needs a text with at least one visible character.');
  return text;
}

function parseFiles(files: readonly string[]): string[] {
  if (files.length > MAX_FILES) throw invalidInput('files', `A message has at most ${MAX_FILES} files.`);
  return files.map((file) => parseText('files', file, { max: MAX_FILE_IDENTIFIER_LENGTH }));
}

/** Updates a message's text. Throws NOT_FOUND, FORBIDDEN unless the actor is the author and still takes part. */
export async function updateMessage(
  deps: Deps,
  actor: ActorRef,
  { messageId, ...input }: { readonly messageId: MessageId; readonly text: string },
): Promise<Message> {
  await deps.rateLimits.consume('send', { account: actor });
  parseMessageText(input.text, true);
  return transact(deps, async (unit) => {
    const { author, message: before } = await lockOwnMessage(unit, actor, messageId);
    const text = parseMessageText(input.text, before.mediaCount > 0);
    const message = await rows.setText(unit.tx, messageId, text);
    const media = await mediaRows.findByMessages(unit.tx, [messageId]);
    await eraseFormerText(unit.tx, message, media);
    unit.emit({ type: 'message.updated', message, author, media });
    return message;
  });
}

/** Deletes a message with its files; returns it as it was. Throws as `updateMessage` does. */
export async function deleteMessage(
  deps: Deps,
  actor: ActorRef,
  { messageId }: { readonly messageId: MessageId },
): Promise<Message> {
  const deleted = await transact(deps, async (unit) => {
    const { message } = await lockOwnMessage(unit, actor, messageId);
    await rows.remove(unit.tx, messageId);
    await eraseMessage(unit.tx, message);
    const { conversationId } = message;
    unit.emit({ type: 'message.deleted', conversationId, messageId });
    return message;
  });
  if (deleted.mediaCount > 0) await removeUnusedFiles(deps);
  return deleted;
}

/** Locks a message of the actor, which does not change until the commit. Throws NOT_FOUND, FORBIDDEN. */
async function lockOwnMessage(
  unit: UnitOfWork,
  actor: ActorRef,
  id: MessageId,
): Promise<{ readonly message: Message; readonly author: ActorView }> {
  const found = await rows.findById(unit.tx, id);
  if (found === undefined) throw notFound('The message');
  await unit.lock(conversationTopic(found.conversationId));
  const message = await rows.findById(unit.tx, id);
  if (message === undefined) throw notFound('The message');
  return { message, author: await requireAuthor(unit.tx, actor, message, 'The message') };
}

/** Returns a message. Throws NOT_FOUND unless the actor may read it. */
export async function requireMessage(deps: Deps, actor: ActorRef, id: MessageId): Promise<Message> {
  const [message] = await rows.findReadable(deps.db, actor, [id]);
  if (message === undefined) throw notFound('The message');
  return message;
}

/** Finds the messages that the actor may read. */
export async function findReadableMessages(
  deps: Deps,
  actor: ActorRef,
  ids: readonly MessageId[],
): Promise<Map<MessageId, Message>> {
  return indexById(await rows.findReadable(deps.db, actor, ids));
}

/** A page of messages between two others, both exclusive. */
export interface MessagesPage {
  readonly after?: MessageId | undefined;
  readonly before?: MessageId | undefined;
  readonly limit: number;
  /** The newest messages, newest first, instead of the oldest, oldest first. */
  readonly newestFirst: boolean;
}

/** Finds a page of messages for each conversation in one statement, without an access check. */
export async function findMessagePages(
  deps: Deps,
  conversationIds: readonly ConversationId[],
  page: MessagesPage,
): Promise<ReadonlyMap<ConversationId, readonly Message[]>> {
  const messages = await rows.findPages(deps.db, conversationIds, page);
  return Map.groupBy(messages, (message) => message.conversationId);
}
