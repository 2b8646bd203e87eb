import { gql } from '@apollo/client';
import type { TypedDocumentNode } from '@apollo/client';

export interface Message {
  readonly __typename: 'Message';
  readonly id: string;
  readonly text: string;
}

export interface Conversation {
  readonly __typename: 'Conversation';
  readonly id: string;
  readonly name: string;
  readonly eventCursor: string;
  readonly messages: {
    readonly edges: readonly { readonly node: Message }[];
    readonly pageInfo: { readonly hasPreviousPage: boolean; readonly startCursor: string | null };
  };
}

type ConversationEvent =
  | {
      readonly __typename: 'MessageSent' | 'MessageUpdated';
      readonly cursor: string;
      readonly message: Message;
    }
  | { readonly __typename: 'MessageDeleted'; readonly cursor: string; readonly messageId: string }
  | { readonly __typename: 'StreamLive'; readonly cursor: string };

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
