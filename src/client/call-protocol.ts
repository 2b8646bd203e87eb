import type { Candidate, Description } from './types.ts';

/** A message between two clients in a call, in the field `message` of a signal. The mobile apps send the same. */
export type CallMessage =
  | 'CALLING'
  | 'READY'
  | 'QUITTING'
  | { readonly type: 'sdp'; readonly data: Description }
  | { readonly type: 'candidate'; readonly data: Candidate };

/** A received signal, as far as it is one of a call. */
export interface CallSignal {
  readonly senderId: string;
  readonly message: CallMessage;
  /** The participants that send and receive it; undefined from Socket.IO clients. */
  readonly from: string | undefined;
  readonly to: string | undefined;
}

const WORDS: readonly unknown[] = ['CALLING', 'READY', 'QUITTING'];

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** Parses a result of `SIGNALS`; undefined for any other signal. */
export function parseSignal(data: unknown): CallSignal | undefined {
  const signal = isObject(data) ? data['signals'] : undefined;
  if (!isObject(signal) || !isObject(signal['sender']) || !isObject(signal['content'])) return undefined;
  const senderId = textOf(signal['sender']['id']);
  const { message, from, to } = signal['content'];
  const isMessage =
    WORDS.includes(message) ||
    (isObject(message) &&
      ['sdp', 'candidate'].includes(String(message['type'])) &&
      isObject(message['data']));
  if (senderId === undefined || !isMessage) return undefined;
  return { senderId, message: message as CallMessage, from: textOf(from), to: textOf(to) };
}
