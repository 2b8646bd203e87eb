export interface Message {
  id: string;
  text: string;
  author: { firstName?: string; name?: string } | null;
}

export interface Conversation {
  id: string;
  name: string;
  eventCursor: string;
  unreadCount: number;
  messages: { nodes: Message[] };
}

export interface Conversations {
  circles: { nodes: { conversations: { nodes: Conversation[] } }[] };
}

export type ConversationEvent =
  { __typename: 'MessageSent'; message: Message } | { __typename: 'StreamLive' };

const MESSAGE_FIELDS = `
  fragment MessageFields on Message {
    id
    text
    author {
      ... on User { firstName }
      ... on Device { name }
    }
  }
`;

export const LOG_IN = `
  mutation LogIn($email: String!, $password: String!) {
    login(email: $email, password: $password) { token }
  }
`;

export const CONVERSATIONS = `
  query Conversations {
    circles {
      nodes {
        conversations {
          nodes {
            id
            name
            eventCursor
            unreadCount
            messages(last: 20) { nodes { ...MessageFields } }
          }
        }
      }
    }
  }
  ${MESSAGE_FIELDS}
`;

export const EVENTS = `
  subscription Events($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent { message { ...MessageFields } }
    }
  }
  ${MESSAGE_FIELDS}
`;

export const SEND = `
  mutation Send($id: ID!, $text: String!, $key: String!) {
    sendMessage(conversationId: $id, text: $text, idempotencyKey: $key) { message { id } }
  }
`;

export const MARK_READ = `
  mutation MarkRead($id: ID!, $messageId: ID!) {
    markRead(conversationId: $id, messageId: $messageId) { id }
  }
`;
