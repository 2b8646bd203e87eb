import type { Exchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import type { Cache } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import { CONVERSATION } from './operations.ts';
import type { ConversationEvent, Edge } from './operations.ts';
import schema from './schema.json' with { type: 'json' };

// Objects are normalised by `id`. Events and payloads have none and are not stored.
const keys = Object.fromEntries(
  schema.__schema.types
    .filter(({ kind, fields }) => kind === 'OBJECT' && !fields?.some(({ name }) => name === 'id'))
    .map(({ name }) => [name, () => null]),
);

export const createCache = (): Exchange =>
  cacheExchange({
    schema,
    keys,
    resolvers: { Conversation: { messages: relayPagination() } },
    updates: {
      Subscription: {
        conversationEvents(result, { conversationId }, cache) {
          const event = result.conversationEvents as ConversationEvent;
          const id = conversationId as string;
          if (event.__typename === 'MessageSent')
            updateEdges(cache, id, (edges) =>
              edges.some(({ node }) => node.id === event.message.id)
                ? edges
                : [...edges, { __typename: 'MessageEdge', node: event.message }],
            );
          // An edited message is already in the cache, by its id.
          if (event.__typename === 'MessageDeleted') {
            updateEdges(cache, id, (edges) => edges.filter(({ node }) => node.id !== event.messageId));
            cache.invalidate({ __typename: 'Message', id: event.messageId });
          }
        },
      },
    },
  });

function updateEdges(cache: Cache, id: string, update: (edges: readonly Edge[]) => readonly Edge[]): void {
  cache.updateQuery({ query: CONVERSATION, variables: { id } }, (data) => {
    if (!data) return data;
    const { conversation } = data;
    const { messages } = conversation;
    return {
      conversation: { ...conversation, messages: { ...messages, edges: update(messages.edges) } },
    };
  });
}
