import {
  ConnectionHandler,
  createOperationDescriptor,
  fetchQuery,
  getRequest,
  graphql,
  requestSubscription,
} from 'relay-runtime';
import type { Disposable, Environment } from 'relay-runtime';
import type {
  conversationEventsSubscription,
  conversationEventsSubscription$data,
} from './__generated__/conversationEventsSubscription.graphql.ts';
import type { conversationQuery, conversationQuery$data } from './__generated__/conversationQuery.graphql.ts';

const CONVERSATION = graphql`
  query conversationQuery($id: ID!, $before: String) {
    conversation(id: $id) @required(action: THROW) {
      name
      eventCursor
      messages(last: 20, before: $before) @connection(key: "conversation_messages") {
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

const CONVERSATION_EVENTS = graphql`
  subscription conversationEventsSubscription($id: ID!, $after: Cursor, $connections: [ID!]!) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent {
        message @appendNode(connections: $connections, edgeTypeName: "MessageEdge") {
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
        messageId @deleteRecord
      }
    }
  }
`;

export type ConversationEvent = conversationEventsSubscription$data['conversationEvents'];

/** Reads a page of messages into the store: the newest, or those before the cursor. */
export async function readConversation(
  environment: Environment,
  id: string,
  before: string | null = null,
): Promise<conversationQuery$data['conversation']> {
  const data = await fetchQuery<conversationQuery>(environment, CONVERSATION, { id, before }).toPromise();
  if (!data) throw new Error('The response has no data.');
  return data.conversation;
}

export function subscribeToConversation(
  environment: Environment,
  id: string,
  after: string | null,
  listeners: { onEvent(event: ConversationEvent): void; onError(error: Error): void },
): Disposable {
  const connections = [ConnectionHandler.getConnectionID(id, 'conversation_messages')];
  return requestSubscription<conversationEventsSubscription>(environment, {
    subscription: CONVERSATION_EVENTS,
    variables: { id, after, connections },
    onNext: (data) => data && listeners.onEvent(data.conversationEvents),
    onError: listeners.onError,
  });
}

/** Watches the data that a component renders, all pages and the messages of events, and retains it in the store. */
export function watchConversation(
  environment: Environment,
  id: string,
  onTexts: (texts: readonly string[]) => void,
): Disposable {
  const operation = createOperationDescriptor(getRequest(CONVERSATION), { id });
  const retention = environment.retain(operation);
  const render = (data: unknown): void => {
    const { conversation } = data as conversationQuery$data;
    onTexts(conversation.messages.edges.flatMap(({ node }) => node?.text ?? []));
  };
  const snapshot = environment.lookup(operation.fragment);
  render(snapshot.data);
  const subscription = environment.subscribe(snapshot, ({ data }) => render(data));
  return {
    dispose() {
      subscription.dispose();
      retention.dispose();
    },
  };
}
