export interface Conversation {
  readonly name: string;
  readonly eventCursor: string;
  readonly messages: { readonly edges: readonly { readonly node: { readonly text: string } }[] };
}

export type ConversationEvent =
  | {
      readonly __typename: 'MessageSent';
      readonly cursor: string;
      readonly message: { readonly text: string };
    }
  | { readonly __typename: 'MessageDeleted'; readonly cursor: string; readonly messageId: string }
  | { readonly __typename: 'StreamLive'; readonly cursor: string };

export const CONVERSATION = `
  query Conversation($id: ID!) {
    conversation(id: $id) {
      name
      eventCursor
      messages(last: 20) { edges { node { text } } }
    }
  }
`;

export const CONVERSATION_EVENTS = `
  subscription ConversationEvents($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent { message { text } }
      ... on MessageDeleted { messageId }
    }
  }
`;

export function print(event: ConversationEvent): void {
  if (event.__typename === 'MessageSent') console.log('MessageSent', event.message.text);
  else console.log(event.__typename);
}
