import type { ClientKind, ClientOptions, Frame, MatrixClient, Transport } from './client.ts';
import type { Fixture } from './fixture.ts';

/** One client over one transport. */
export interface Cell extends Fixture {
  readonly kind: ClientKind;
  readonly transport: Transport;
  /** Connects a client, and waits for its upgrade if the transport is `upgrade`. */
  connect(options?: Partial<ClientOptions>): Promise<MatrixClient>;
  /** Connects a client, authenticates it as Bob, joins both rooms, and reads the replies. */
  connectInRooms(): Promise<MatrixClient>;
}

/** A capability that every client must have: a column of the matrix. */
export interface Check {
  readonly title: string;
  /** In Markdown, for maintainers of legacy apps. */
  readonly description: string;
  /** Returns the known limitation of this client that applies; throws on any other deviation. */
  run(cell: Cell): Promise<Limitation | undefined>;
}

/** A known limitation and its reason: a footnote of the matrix. */
export interface Limitation {
  readonly mark: string;
  readonly description: string;
}

export const LIMITATIONS = {
  doubleEncoding: {
    mark: '¹',
    description:
      'Clients of 1.0 encode twice what they send over a WebSocket, and the server cannot tell them from 1.3 there: their `é€😀` arrives as `Ã©â\\u0082¬ð\\u009f\\u0098\\u0080`, one character for each byte. ASCII arrives unchanged, and they receive all text correctly.',
  },
  binaryLoss: {
    mark: '²',
    description:
      'Under current Node versions, clients up to 1.3.6 send zeros instead of binary data, of the same length. In a browser they do not.',
  },
  lossOnClose: {
    mark: '³',
    description:
      'python-socketio, and clients of 1.0, may drop events sent just before they disconnect. An app that waits for the acknowledgement first loses none.',
  },
} as const satisfies Record<string, Limitation>;

export const success = (payload: unknown): Frame => ['success', payload];
export const error = (text: string): Frame => ['error', text];
