import { CombinedGraphQLErrors } from '@apollo/client';
import type { ApolloClient } from '@apollo/client';
import { useApolloClient, useSubscription } from '@apollo/client/react';
import { CONVERSATION_EVENTS, CONVERSATIONS, INBOX_EVENTS, MESSAGES, UNREAD_COUNT } from './operations.ts';
import type { Conversation, ConversationEvent } from './operations.ts';

/** Applies the events of a conversation to the cache, each once and in order, also over failures of the connection. */
export function useConversationEvents({ id, eventCursor }: Conversation): void {
  const client = useApolloClient();
  useSubscription(CONVERSATION_EVENTS, {
    // Starts where the newest query ended, because its result replaces what later events have added. From there on,
    // parley/client resumes.
    variables: { id, after: eventCursor },
    ignoreResults: true,
    onData: ({ data: { data } }) => data && applyEvent(client, id, data.conversationEvents),
    // The account has left the conversation, or its session has ended: the query shows which.
    onError: () => readAgain(client),
  });
}

/** Receives what the account reads on other devices, and the conversations to which it is added. */
export function useInboxEvents(): void {
  const client = useApolloClient();
  const { restart } = useSubscription(INBOX_EVENTS, {
    ignoreResults: true,
    onData({ data: { data } }) {
      const type = data?.inboxEvents.__typename;
      // The cache has stored the number of a ReadStateChanged by the id of its conversation. Events before StreamLive are not
      // delivered: the query shows what they changed.
      if (type === 'ConversationInvited' || type === 'StreamLive') readAgain(client);
    },
    // The log was trimmed past the cursor, or restored: begins again, with StreamLive, once Apollo has completed the stream.
    onError(error) {
      if (isExpired(error)) queueMicrotask(restart);
    },
  });
}

function isExpired(error: unknown): boolean {
  const code = CombinedGraphQLErrors.is(error) ? error.errors[0]?.extensions?.code : undefined;
  return code === 'CURSOR_EXPIRED' || code === 'CURSOR_INVALID';
}

/** Reads the conversations again. `useQuery` shows an error. */
function readAgain(client: ApolloClient): void {
  void client.refetchQueries({ include: [CONVERSATIONS] });
}

/** The cache has stored messages and unread counts by id. What remains are the lists. */
function applyEvent(client: ApolloClient, conversationId: string, event: ConversationEvent): void {
  const { cache } = client;
  if (event.__typename === 'MessageSent') {
    const { message } = event;
    const id = cache.identify({ __typename: 'Conversation', id: conversationId });
    cache.updateFragment({ id, fragment: MESSAGES, fragmentName: 'Messages' }, (data) => {
      if (!data || data.messages.nodes.some((node) => node.id === message.id)) return data;
      return { messages: { ...data.messages, nodes: [...data.messages.nodes, message] } };
    });
  }
  if (event.__typename === 'MessageDeleted') {
    cache.evict({ id: cache.identify({ __typename: 'Message', id: event.messageId }) });
    client
      .query({ query: UNREAD_COUNT, variables: { id: conversationId }, fetchPolicy: 'network-only' })
      .catch(() => readAgain(client));
  }
}
