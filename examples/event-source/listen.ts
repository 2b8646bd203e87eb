// Browsers have a built-in EventSource. This one does not keep Node alive while it waits to reconnect: hence the timer.
import { EventSource } from 'eventsource';
import { createSession, graphqlUrl } from '../session.ts';

interface Result {
  readonly data?: {
    readonly conversationEvents: {
      readonly __typename: string;
      readonly message?: { readonly text: string };
    };
  };
  readonly errors?: readonly {
    readonly message: string;
    readonly extensions?: { readonly code?: string };
  }[];
}

const CONVERSATION_EVENTS = `
  subscription ConversationEvents($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent { message { text } }
    }
  }
`;

const session = createSession();
let after: string | undefined;

async function listen(): Promise<void> {
  const requestUrl = new URL(graphqlUrl);
  requestUrl.searchParams.set('query', CONVERSATION_EVENTS);
  requestUrl.searchParams.set('variables', JSON.stringify({ id: 'Conversation:1', after }));
  // EventSource cannot send custom headers.
  requestUrl.searchParams.set('token', await session.getToken());

  const source = new EventSource(requestUrl);
  source.addEventListener('next', (event) => {
    if (event.lastEventId !== '') after = event.lastEventId;
    const { data, errors } = JSON.parse(event.data) as Result;
    if (errors) return handleErrors(errors);
    const conversationEvent = data?.conversationEvents;
    if (conversationEvent?.__typename === 'MessageSent')
      console.log('MessageSent', conversationEvent.message?.text);
    else console.log(conversationEvent?.__typename);
  });
  source.addEventListener('complete', () => source.close());
  source.addEventListener('error', () => {
    // EventSource reconnects after a lost connection, with `Last-Event-ID`, but not after an HTTP error, such as a proxy's.
    if (source.readyState === EventSource.CLOSED) listenLater();
  });

  function handleErrors([error]: NonNullable<Result['errors']>): void {
    source.close();
    if (error?.extensions?.code !== 'UNAUTHENTICATED') throw new Error(error?.message);
    session.forget();
    listen().catch(retry);
  }
}

/** The login has failed, for example because the gateway does not run. */
function retry(problem: Error): void {
  console.error(problem.message);
  listenLater();
}

function listenLater(): void {
  setTimeout(() => void listen().catch(retry), 1_000 + Math.random() * 2_000);
}

setInterval(() => {}, 60_000);
listen().catch(retry);
