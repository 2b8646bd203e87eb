import type { Client } from 'graphql-ws';
import { Environment, Network, Observable, RecordSource, Store } from 'relay-runtime';
import type { FetchFunction, GraphQLResponse, SubscribeFunction } from 'relay-runtime';
import { graphqlUrl } from '../session.ts';
import type { Session } from '../session.ts';

export function createEnvironment(session: Session, webSocket: Client): Environment {
  const fetchOperation: FetchFunction = async ({ text }, variables) => {
    const response = await fetch(graphqlUrl, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${await session.getToken()}`,
      },
      body: JSON.stringify({ query: text, variables }),
    });
    if (response.status === 401) session.forget();
    return response.json();
  };
  const subscribe: SubscribeFunction = ({ name, text }, variables) =>
    Observable.create((sink) =>
      webSocket.subscribe(
        { operationName: name, query: text ?? '', variables },
        {
          next: (result) => sink.next(result as GraphQLResponse),
          error: (problem) => sink.error(problem instanceof Error ? problem : toError(problem)),
          complete: () => sink.complete(),
        },
      ),
    );
  return new Environment({
    network: Network.create(fetchOperation, subscribe),
    store: new Store(new RecordSource()),
  });
}

/** Converts the errors of a subscription, or the close event of its WebSocket, to the Error that Relay expects. */
function toError(problem: unknown): Error {
  const { message, reason } = (Array.isArray(problem) ? problem[0] : problem) as Partial<
    Record<string, string>
  >;
  return new Error(message ?? reason, { cause: problem });
}
