import { gql } from '@urql/core';

export interface Message {
  readonly __typename: 'Message';
  readonly id: string;
  readonly text: string;
}

export interface Edge {
  readonly __typename: 'MessageEdge';
  readonly node: Message;
}

export interface ConversationData {
  readonly conversation: {
    readonly __typename: 'Conversation';
    readonly id: string;
    readonly name: string;
    readonly eventCursor: string;
    readonly messages: {
      readonly __typename: 'MessageConnection';
      readonly edges: readonly Edge[];
      readonly pageInfo: {
        readonly __typename: 'PageInfo';
        readonly hasPreviousPage: boolean;
        readonly startCursor: string | null;
      };
    };
  };
}

export type ConversationEvent =
  | {
      readonly __typename: 'MessageSent' | 'MessageUpdated';
      readonly cursor: string;
      readonly message: Message;
    }
  | { readonly __typename: 'MessageDeleted'; readonly cursor: string; readonly messageId: string }
  | { readonly __typename: 'StreamLive'; readonly cursor: string };

export const CONVERSATION = gql<ConversationData, { id: string; before?: string | null }>`
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

export const CONVERSATION_EVENTS = gql<
  { conversationEvents: ConversationEvent },
  { id: string; after?: string }
>`
  subscription ConversationEvents($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent {
        message {
          __typename
          id
          text
        }
      }
      ... on MessageUpdated {
        message {
          __typename
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

export const LOG_IN = gql<{ login: { token: string } }, { email: string; password: string }>`
  mutation LogIn($email: String!, $password: String!) {
    login(email: $email, password: $password) {
      __typename
      token
    }
  }
`;
