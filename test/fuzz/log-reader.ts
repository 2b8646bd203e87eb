import { EventEmitter, once } from 'node:events';
import { WebSocket } from 'ws';
import type { TestAccount } from '../../src/testing/index.ts';

export type ReaderTransport = 'websocket' | 'sse';

/** An event of a conversation: its type, and the id of its object. */
interface ReceivedEvent {
  readonly description: string;
  readonly cursor: string;
  /** The text of the message. */
  readonly text: string | undefined;
  /** The length of the log when the connection was opened on which the event was received. */
  readonly openedAt: number;
}

/** Describes an event of the object with an id; an update by its text too, as a message may have several. */
export const describeEvent = (type: string, id: string, text?: string): string =>
  type === 'MessageUpdated' ? `${type} ${id} ${text}` : `${type} ${id}`;

interface ResultEvent {
  readonly __typename: string;
  readonly cursor: string;
  readonly object?: { readonly id: string; readonly text?: string };
  readonly messageId?: string;
}

interface Result {
  readonly data?: { readonly event: ResultEvent };
  readonly errors?: readonly { readonly extensions?: { readonly reason?: string } }[];
}

const TIMEOUT_MS = 15_000;

const DOCUMENT = /* GraphQL */ `
  subscription ($id: ID!, $after: Cursor) {
    event: conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent {
        object: message {
          id
          text
        }
      }
      ... on MessageUpdated {
        object: message {
          id
          text
        }
      }
      ... on MessageDeleted {
        messageId
      }
      ... on ConversationUpdated {
        object: conversation {
          id
        }
      }
      ... on ParticipantJoined {
        object: user {
          id
        }
      }
      ... on ParticipantLeft {
        object: user {
          id
        }
      }
    }
  }
`;

/** A subscription to a conversation that is cut and resumed, and keeps what it has received since its start. */
export class LogReader {
  readonly received: ReceivedEvent[] = [];
  /** The reason with which the server ended the subscription. */
  endReason: string | undefined;
  /** Whether the replay of the present connection is complete. */
  isLive = false;
  readonly #url: string;
  readonly #account: TestAccount;
  readonly #conversationId: string;
  readonly #transport: ReaderTransport;
  readonly #startCursor: string;
  readonly #results = new EventEmitter();
  #openedAt = 0;
  #disconnect: (() => void) | undefined;

  constructor(
    url: string,
    account: TestAccount,
    conversationId: string,
    { transport, after }: { readonly transport: ReaderTransport; readonly after: string },
  ) {
    this.#url = url;
    this.#account = account;
    this.#conversationId = conversationId;
    this.#transport = transport;
    this.#startCursor = after;
  }

  get isConnected(): boolean {
    return this.#disconnect !== undefined;
  }

  /** Subscribes after the last event that was received, at a time when the log has this length. */
  resume(logLength: number): void {
    if (this.isConnected || this.endReason !== undefined) return;
    this.#openedAt = logLength;
    this.isLive = false;
    const after = this.received.at(-1)?.cursor ?? this.#startCursor;
    const variables = { id: this.#conversationId, after };
    if (this.#transport === 'websocket') this.#openSocket(variables);
    else this.#openEventStream(variables);
  }

  /** Drops the connection. What has not been received yet is lost. */
  cut(): void {
    this.#disconnect?.();
    this.#disconnect = undefined;
  }

  /** Resolves once the condition holds, checking it after each result. Rejects after a timeout. */
  async waitFor(condition: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    while (!condition()) await once(this.#results, 'result', { signal });
  }

  #receive(result: Result): void {
    this.#apply(result);
    this.#results.emit('result');
  }

  #apply({ data, errors }: Result): void {
    if (errors !== undefined) {
      this.endReason = errors[0]?.extensions?.reason ?? JSON.stringify(errors);
      return;
    }
    if (data === undefined) return;
    const { __typename: type, cursor, object, messageId } = data.event;
    if (type === 'StreamLive') this.isLive = true;
    else
      this.received.push({
        description: describeEvent(type, object?.id ?? messageId ?? '', object?.text),
        cursor,
        text: object?.text,
        openedAt: this.#openedAt,
      });
  }

  #openSocket(variables: object): void {
    const socket = new WebSocket(`${this.#url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    let isCut = false;
    this.#disconnect = () => {
      isCut = true;
      socket.terminate();
    };
    socket.on('error', () => undefined);
    socket.on('open', () =>
      socket.send(JSON.stringify({ type: 'connection_init', payload: { token: this.#account.token } })),
    );
    socket.on('message', (data: Buffer) => {
      if (isCut) return;
      const { type, payload } = JSON.parse(data.toString()) as { type: string; payload?: unknown };
      if (type === 'connection_ack')
        socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: DOCUMENT, variables } }));
      if (type === 'next') this.#receive(payload as Result);
      if (type === 'error') this.#receive({ errors: payload as NonNullable<Result['errors']> });
    });
  }

  #openEventStream(variables: object): void {
    const abort = new AbortController();
    this.#disconnect = () => abort.abort();
    const read = async (): Promise<void> => {
      const { body } = await fetch(`${this.#url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream',
          authorization: `Bearer ${this.#account.token}`,
        },
        body: JSON.stringify({ query: DOCUMENT, variables }),
        signal: abort.signal,
      });
      let text = '';
      for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
        const parts = (text + chunk).split('\n\n');
        text = parts.pop() ?? '';
        for (const part of parts) {
          const [, data] = /^data: (.+)$/m.exec(part) ?? [];
          if (data !== undefined && !abort.signal.aborted) this.#receive(JSON.parse(data) as Result);
        }
      }
    };
    void read().catch(() => undefined);
  }
}
