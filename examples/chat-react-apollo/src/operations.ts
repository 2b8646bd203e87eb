import { gql } from '@apollo/client';
import type { TypedDocumentNode } from '@apollo/client';

export type Message = {
  __typename: 'Message';
  id: string;
  text: string;
  author: { firstName: string } | { name: string } | null;
};

export type Conversation = {
  __typename: 'Conversation';
  id: string;
  name: string;
  eventCursor: string;
  unreadCount: number;
  messages: { nodes: Message[] };
};

export type ConversationEvent =
  | { __typename: 'MessageSent' | 'MessageUpdated'; message: Message }
  | { __typename: 'MessageDeleted'; messageId: string }
  | { __typename: 'StreamLive' };

export type InboxEvent = { __typename: 'ConversationInvited' | 'ReadStateChanged' | 'StreamLive' };

const MESSAGE_FIELDS = gql`
  fragment MessageFields on Message {
    id
    text
    author {
      ... on User {
        id
        firstName
      }
      ... on Device {
        id
        name
      }
    }
  }
`;

export const CONVERSATIONS: TypedDocumentNode<{
  circles: { nodes: { conversations: { nodes: Conversation[] } }[] };
}> = gql`
  query Conversations {
    circles {
      nodes {
        id
        conversations {
          nodes {
            id
            name
            eventCursor
            unreadCount
            messages(last: 20) {
              nodes {
                ...MessageFields
              }
            }
          }
        }
      }
    }
  }
  ${MESSAGE_FIELDS}
`;

/** Reads the messages of a conversation from the cache, and writes them. */
export const MESSAGES: TypedDocumentNode<Pick<Conversation, 'messages'>> = gql`
  fragment Messages on Conversation {
    messages(last: 20) {
      nodes {
        ...MessageFields
      }
    }
  }
  ${MESSAGE_FIELDS}
`;

export const UNREAD_COUNT: TypedDocumentNode<{ conversation: Conversation }, { id: string }> = gql`
  query UnreadCount($id: ID!) {
    conversation(id: $id) {
      id
      unreadCount
    }
  }
`;

/** With the unread messages of the conversation as they are now: the cache stores both by id. */
export const CONVERSATION_EVENTS: TypedDocumentNode<
  { conversationEvents: ConversationEvent },
  { id: string; after: string }
> = gql`
  subscription ConversationEvents($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      cursor
      ... on MessageSent {
        message {
          ...MessageFields
          conversation {
            id
            unreadCount
          }
        }
      }
      ... on MessageUpdated {
        message {
          ...MessageFields
        }
      }
      ... on MessageDeleted {
        messageId
      }
    }
  }
  ${MESSAGE_FIELDS}
`;

export const INBOX_EVENTS: TypedDocumentNode<{ inboxEvents: InboxEvent }> = gql`
  subscription InboxEvents($after: Cursor) {
    inboxEvents(after: $after) {
      cursor
      ... on ReadStateChanged {
        conversation {
          id
          unreadCount
        }
      }
    }
  }
`;

export const SEND_MESSAGE: TypedDocumentNode<
  { sendMessage: { message: { id: string } } },
  { id: string; text: string; key: string }
> = gql`
  mutation SendMessage($id: ID!, $text: String!, $key: String!) {
    sendMessage(conversationId: $id, text: $text, idempotencyKey: $key) {
      message {
        id
      }
    }
  }
`;

export const MARK_READ: TypedDocumentNode<
  { markRead: { id: string; unreadCount: number } },
  { id: string; messageId: string }
> = gql`
  mutation MarkRead($id: ID!, $messageId: ID!) {
    markRead(conversationId: $id, messageId: $messageId) {
      id
      unreadCount
    }
  }
`;
