import { gql } from '@apollo/client/core/index.js';
import type { TypedDocumentNode } from '@apollo/client/core/index.js';

export type Message = {
  __typename: 'Message';
  id: string;
  text: string;
};

export type Conversation = {
  __typename: 'Conversation';
  id: string;
  name: string;
  eventCursor: string;
  messages: {
    edges: { __typename: 'MessageEdge'; node: Message }[];
    pageInfo: { hasPreviousPage: boolean; startCursor: string | null };
  };
};

export type ConversationEvent =
  | {
      __typename: 'MessageSent' | 'MessageUpdated';
      cursor: string;
      message: Message;
    }
  | { __typename: 'MessageDeleted'; cursor: string; messageId: string }
  | { __typename: 'StreamLive'; cursor: string };

export const CONVERSATION: TypedDocumentNode<
  { conversation: Conversation },
  { id: string; before?: string | null }
> = gql`
  query Conversation($id: ID!, $before: String) {
    conversation(id: $id) {
      id
      name
      eventCursor
      messages(last: 20, before: $before) {
        edges {
          node {
            id
            text
          }
        }
        pageInfo {
          hasPreviousPage
          startCursor
        }
      }
    }
  }
`;

export const CONVERSATION_EVENTS: TypedDocumentNode<
  { conversationEvents: ConversationEvent },
  { id: string; after?: string }
> = gql`
  subscription ConversationEvents($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      cursor
      ... on MessageSent {
        message {
          id
          text
        }
      }
      ... on MessageUpdated {
        message {
          id
          text
        }
      }
      ... on MessageDeleted {
        messageId
      }
    }
  }
`;
