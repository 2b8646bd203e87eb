import type { ClientKind, ClientOptions, Emission, MatrixClient, Transport } from './client.ts';
import type { World } from './matrix-fixtures.ts';

/** One client over one transport. */
export interface Cell extends World {
  readonly kind: ClientKind;
  readonly transport: Transport;
  /** Opens a client and waits until it is connected, and upgraded if it is to be. */
  open(options?: Partial<ClientOptions>): Promise<MatrixClient>;
  /** Opens a client that is authenticated and in both rooms, and has received the replies. */
  openInRooms(): Promise<MatrixClient>;
}

/** One thing that every client must be able to do: a column of the matrix. */
export interface Check {
  readonly title: string;
  /** In Markdown, for maintainers of legacy apps. */
  readonly about: string;
  /** Answers what it found to be otherwise than it should be, and known to be so. */
  run(cell: Cell): Promise<Limit | undefined>;
}

/** A known limitation and its reason: a footnote of the matrix. */
export interface Limit {
  readonly mark: string;
  readonly about: string;
}

export const LIMITS = {
  encodesTwice: {
    mark: '¹',
    about:
      'Clients of 1.0 encode twice what they send over a WebSocket, and the server cannot tell them from 1.3 there: their `é€😀` arrives as `Ã©â\\u0082¬ð\\u009f\\u0098\\u0080`, one character for each byte. ASCII arrives unchanged, and they receive all text correctly.',
  },
  losesBinary: {
    mark: '²',
    about:
      'Under current Node versions, clients up to 1.3.6 send zeros instead of binary data, of the same length. In a browser they do not.',
  },
  dropsOnClose: {
    mark: '³',
    about:
      'python-socketio may drop events sent just before `disconnect()`. An app that waits for the acknowledgement first, with `call()`, loses none.',
  },
} as const satisfies Record<string, Limit>;

export const success = (payload: unknown): Emission => ['success', payload];
export const refusal = (text: string): Emission => ['error', text];
