import type { Media, Message } from '../db/tables.ts';
import type { EphemeralStream } from '../events/ephemeral.ts';
import type { ActorView } from '../events/event.ts';
import type { ConversationId, MessageId } from '../ids.ts';
import type { Actor, Session } from './actor.ts';
import type { Deps } from './deps.ts';

export interface SendInput {
  readonly conversationId: ConversationId;
  readonly text?: string | null | undefined;
  /** What the sender calls the files that will be uploaded. */
  readonly files?: readonly string[] | null | undefined;
  /** Sending again with the same key answers the first message again. */
  readonly idempotencyKey?: string | null | undefined;
}

/** A message with what its readers show. */
export interface SentMessage {
  readonly message: Message;
  readonly author: ActorView;
  readonly media: readonly Media[];
}

/**
 * Sends a message. Throws NOT_FOUND unless the actor takes part in the conversation, INVALID_INPUT, LIMIT_EXCEEDED,
 * and CONFLICT when the key was used for another conversation or for a message that is deleted.
 */
export async function sendMessage(deps: Deps, actor: Actor, input: SendInput): Promise<SentMessage> {
  throw new Error(`not written: ${String([deps, actor, input])}`);
}

/** Changes a message's text. Throws NOT_FOUND, FORBIDDEN unless the actor wrote it and still takes part. */
export async function updateMessage(
  deps: Deps,
  actor: Actor,
  input: { readonly messageId: MessageId; readonly text: string },
): Promise<Message> {
  throw new Error(`not written: ${String([deps, actor, input])}`);
}

/** Deletes a message with its files, and answers it as it was. Throws as `updateMessage` does. */
export async function deleteMessage(
  deps: Deps,
  actor: Actor,
  input: { readonly messageId: MessageId },
): Promise<Message> {
  throw new Error(`not written: ${String([deps, actor, input])}`);
}

/** A message that the actor may read. Throws NOT_FOUND. */
export async function requireMessage(deps: Deps, actor: Actor, id: MessageId): Promise<Message> {
  throw new Error(`not written: ${String([deps, actor, id])}`);
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
export async function messagesPage(
  deps: Deps,
  conversationIds: readonly ConversationId[],
  page: MessagesPage,
): Promise<ReadonlyMap<ConversationId, readonly Message[]>> {
  throw new Error(`not written: ${String([deps, conversationIds, page])}`);
}

/** Tells the conversation's readers that the actor is typing, or no longer. Throws NOT_FOUND unless it takes part. */
export async function setTyping(
  deps: Deps,
  actor: Actor,
  input: { readonly conversationId: ConversationId; readonly isTyping: boolean },
): Promise<void> {
  throw new Error(`not written: ${String([deps, actor, input])}`);
}

export interface Typing {
  readonly actor: ActorView;
  readonly isTyping: boolean;
}

/** Opens a reader of who is typing in a conversation. Only an actor's newest state waits for a slow reader. */
export async function openTyping(
  deps: Deps,
  session: Session,
  input: { readonly conversationId: ConversationId },
  signal?: AbortSignal,
): Promise<EphemeralStream<Typing>> {
  throw new Error(`not written: ${String([deps, session, input, signal])}`);
}
