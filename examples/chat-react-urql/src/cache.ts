import { cacheExchange } from '@urql/exchange-graphcache';
import type { Cache } from '@urql/exchange-graphcache';
import type { Exchange } from 'urql';
import { MESSAGES } from './operations.ts';
import type { ConversationEvent, InboxEvent, Message } from './operations.ts';
import schema from './schema.json' with { type: 'json' };

// Objects are stored by `id`. Lists, events and results have none and are not stored.
const keys = Object.fromEntries(
  schema.__schema.types
    .filter(({ kind, fields }) => kind === 'OBJECT' && !fields?.some(({ name }) => name === 'id'))
    .map(({ name }) => [name, () => null]),
);

/** Applies the events. Messages and unread counts in them are stored by id already. */
export const createCache = (): Exchange =>
  cacheExchange({
    schema,
    keys,
    updates: {
      Subscription: {
        conversationEvents(result, { conversationId }, cache) {
          const event = result.conversationEvents as ConversationEvent;
          const id = conversationId as string;
          if (event.__typename === 'MessageSent') {
            const { message } = event;
            updateMessages(cache, id, (nodes) =>
              nodes.some((node) => node.id === message.id) ? nodes : [...nodes, message],
            );
          }
          if (event.__typename === 'MessageDeleted') {
            updateMessages(cache, id, (nodes) => nodes.filter((node) => node.id !== event.messageId));
            // The conversation is shown: its number of unread messages is read again.
            cache.invalidate({ __typename: 'Conversation', id }, 'unreadCount');
          }
        },
        inboxEvents(result, _args, cache) {
          const event = result.inboxEvents as InboxEvent;
          // Events before StreamLive are not delivered: the query shows what they changed.
          if (event.__typename === 'ConversationInvited' || event.__typename === 'StreamLive')
            cache.invalidate('Query', 'circles');
        },
      },
    },
  });

function updateMessages(cache: Cache, id: string, update: (nodes: Message[]) => Message[]): void {
  const conversation = { __typename: 'Conversation', id };
  const messages = cache.readFragment(MESSAGES, conversation)?.messages;
  if (messages === undefined) return;
  cache.writeFragment(MESSAGES, {
    ...conversation,
    messages: { ...messages, nodes: update(messages.nodes) },
  });
}
