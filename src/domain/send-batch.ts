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

/** More would keep the first ones waiting, and their conversations locked, for longer than it saves. */
const MAX_TOGETHER = 128;
/** One is prepared while the database has another: more would only be smaller. */
const AT_ONCE = 2;
/** A conversation that is locked for long holds up only the sends that were taken together with it. */
const SPARE = 2;
const PATIENCE_MS = 500;
/** In bytes, about. */
const MAX_WAITING = 64 * 1024 * 1024;
const SEND_BYTES = 1_000;

/** A message with what its readers show. */
export interface SentMessage {
  readonly message: Message;
  readonly author: ActorView;
  readonly media: readonly Media[];
}

/** A checked request to send. */
export interface Send {
  readonly actor: ActorRef;
  readonly conversationId: ConversationId;
  readonly text: string;
  readonly files: readonly string[];
  readonly key: string | null;
}

/** Sends messages: those that wait at the same moment are committed together. */
export interface SendBatcher {
  /** Throws NOT_FOUND, CONFLICT, and RATE_LIMITED when too much waits to be stored. */
  send(send: Send): Promise<SentMessage>;
}

export interface SendBatcherDeps {
  readonly db: Db;
  readonly bus: Bus;
}

type Outcome = { readonly sent: SentMessage } | { readonly refusal: unknown };

export function createSendBatcher(deps: SendBatcherDeps): SendBatcher {
  const batcher = createBatcher<Send, Outcome>((sends) => commit(deps, sends), {
    maxBatchSize: MAX_TOGETHER,
    concurrency: AT_ONCE,
    extraWhenSlow: SPARE,
    slowAfterMs: PATIENCE_MS,
    partitionBy: (send) => send.conversationId,
    maxQueuedSize: MAX_WAITING,
    sizeOf: weightOf,
  });
  return {
    async send(send) {
      return resultOf(await batcher.load(send));
    },
  };
}

const weightOf = ({ text, files }: Send): number =>
  files.reduce((bytes, file) => bytes + 2 * file.length, SEND_BYTES + 2 * text.length);

/** One transaction for all. If one of them makes it fail, each has its own: a refusal does not concern its neighbours. */
async function commit(deps: SendBatcherDeps, sends: readonly Send[]): Promise<Outcome[]> {
  try {
    return await transact(deps, (unit) => sendAll(unit, sends));
  } catch (error) {
    // What may have been committed must not be done again: only its answer may be lost.
    if (sends.length === 1 || isUnavailable(error)) throw error;
    const outcomes: Outcome[] = [];
    for (const send of sends) {
      outcomes.push(
        await sendSingle(deps, send).then(
          (sent) => ({ sent }),
          (refusal: unknown) => ({ refusal }),
        ),
      );
    }
    return outcomes;
  }
}

/** In a transaction of its own, gathered with no other. */
export async function sendSingle(deps: SendBatcherDeps, send: Send): Promise<SentMessage> {
  const [outcome] = await transact(deps, (unit) => sendAll(unit, [send]));
  return resultOf(outcome);
}

function resultOf(outcome: Outcome | undefined): SentMessage {
  if (outcome !== undefined && 'sent' in outcome) return outcome.sent;
  throw outcome?.refusal;
}

async function sendAll(unit: UnitOfWork, sends: readonly Send[]): Promise<Outcome[]> {
  await unit.lock(...sends.flatMap(topicsOf));
  const requests = sends.map(({ actor, conversationId }) => ({ account: actor, conversationId }));
  const senders = await findSenders(unit.tx, requests);
  const accepted = await claimKeys(unit.tx, sends, senders);
  const sent = new Map<MessageId, SentMessage>();
  for (const message of await insertAll(unit.tx, accepted)) {
    sent.set(message.message.id, message);
    unit.emit({ type: 'message.sent', ...message });
  }
  const outcomes: Outcome[] = [];
  for (const [place, send] of sends.entries()) {
    const sender = senders[place];
    const own = sender && sent.get(sender.messageId);
    if (sender === undefined) outcomes.push({ refusal: notFound('The conversation') });
    else outcomes.push(own === undefined ? await findFirstSend(unit.tx, send, sender) : { sent: own });
  }
  return outcomes;
}

/** A device's own topic too: the message names it, so it must not be removed meanwhile. */
const topicsOf = ({ actor, conversationId }: Send): Topic[] =>
  actor.kind === 'device'
    ? [conversationTopic(conversationId), accountTopic(actor)]
    : [conversationTopic(conversationId)];

interface Accepted {
  readonly send: Send;
  readonly sender: Sender;
}

/** Those that may be sent and have not been before. */
async function claimKeys(
  tx: Tx,
  sends: readonly Send[],
  senders: readonly (Sender | undefined)[],
): Promise<Accepted[]> {
  const allowed = sends.flatMap((send, place): Accepted[] => {
    const sender = senders[place];
    return sender === undefined ? [] : [{ send, sender }];
  });
  const claims = allowed.flatMap(({ send: { actor, key }, sender: { messageId } }) =>
    key === null ? [] : [{ account: actorKey(actor), key, messageId }],
  );
  if (claims.length === 0) return allowed;
  const claimed = await keys.claimKeys(tx, claims);
  return allowed.filter(({ send, sender }) => send.key === null || claimed.has(sender.messageId));
}

/** In the order of their ids: that of their events. */
async function insertAll(tx: Tx, accepted: readonly Accepted[]): Promise<SentMessage[]> {
  if (accepted.length === 0) return [];
  const inOrder = accepted.toSorted((a, b) => a.sender.messageId - b.sender.messageId);
  const stored = await rows.insert(tx, inOrder.map(newMessage));
  return stored.flatMap((message, place) => {
    const author = inOrder[place]?.sender.actor;
    return author === undefined ? [] : [{ ...message, author }];
  });
}

const newMessage = ({ send, sender }: Accepted): rows.NewMessage => ({
  id: sender.messageId,
  conversationId: send.conversationId,
  author: send.actor,
  participantId: sender.participantId,
  text: send.text,
  files: send.files,
  sentAt: sender.at,
});

/** What a key was used for the first time. */
async function findFirstSend(tx: Tx, { actor, conversationId, key }: Send, sender: Sender): Promise<Outcome> {
  const message = await keys.findMessage(tx, actorKey(actor), key ?? '');
  if (message === undefined)
    return { refusal: conflict('The message that was sent with this key is deleted.') };
  if (message.conversationId !== conversationId) {
    return { refusal: conflict('This key was used in another conversation.') };
  }
  const media = (await mediaRows.findByMessages(tx, [message.id])).map(asPendingMedia);
  const status = media.length === 0 ? 'DONE' : 'PENDING';
  return { sent: { message: { ...message, status }, author: sender.actor, media } };
}

/** As the first answer had it, whatever was uploaded since. */
const asPendingMedia = (media: Media): Media => ({
  ...media,
  filename: null,
  extension: null,
  contentType: null,
  size: null,
  uploadedAt: null,
});
