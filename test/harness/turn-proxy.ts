import { openTcpProxy } from './tcp-proxy.ts';

/** A proxy in front of a PostgreSQL server that counts the turns of its clients: requests that the server has answered. */
export interface TurnProxy extends AsyncDisposable {
  readonly url: string;
  /** Tests reset it. */
  turns: number;
  /** Loses the connection once, at the turn with this number, counted from now. */
  loseAt(turn: number, when: Loss): void;
  /**
   * Responds once with an error instead to a turn that was executed, as a pooler may do that lost the server, and closes the
   * connection unless it continues.
   */
  failAt(turn: number, sqlState: string, options?: { readonly continues: boolean }): void;
}

type Loss = 'before the request' | 'before the response' | 'within the response';

type When = Loss | 'with an error';

const READY_FOR_QUERY = 'Z'.charCodeAt(0);
const HEADER_LENGTH = 5;

export async function openTurnProxy(serverUrl: string): Promise<TurnProxy> {
  const url = new URL(serverUrl);
  let loss: { remaining: number; readonly when: When } | undefined;
  let failure = { sqlState: '', continues: false };
  const isLost = (when: When): boolean => {
    if (loss?.when !== when) return false;
    loss.remaining -= 1;
    if (loss.remaining > 0) return false;
    loss = undefined;
    return true;
  };
  const relay = await openTcpProxy(Number(url.port), () => {
    let buffered: Buffer = Buffer.alloc(0);
    let isStarting = true;
    let isAnswered = false;
    return {
      onRequest() {
        const isNewTurn = isAnswered;
        isAnswered = false;
        return !isNewTurn || !isLost('before the request');
      },
      onResponse(chunk) {
        buffered = Buffer.concat([buffered, chunk]);
        let response = { data: chunk, isLast: false };
        while (buffered.length >= HEADER_LENGTH) {
          const end = 1 + buffered.readUInt32BE(1);
          if (buffered.length < end) break;
          if (buffered[0] === READY_FOR_QUERY && !isStarting) {
            proxy.turns += 1;
            if (isLost('before the response')) response = { data: Buffer.alloc(0), isLast: true };
            // The server has confirmed its statements, but is not ready for others.
            if (isLost('within the response'))
              response = { data: chunk.subarray(0, chunk.length - end), isLast: true };
            if (isLost('with an error')) response = encodeFailure(failure, buffered.subarray(0, end));
          }
          if (buffered[0] === READY_FOR_QUERY) [isStarting, isAnswered] = [false, true];
          buffered = buffered.subarray(end);
        }
        return response;
      },
    };
  });
  url.hostname = '127.0.0.1';
  url.port = String(relay.port);
  const proxy: TurnProxy = {
    url: url.href,
    turns: 0,
    loseAt: (turn, when) => void (loss = { remaining: turn, when }),
    failAt(turn, sqlState, { continues } = { continues: false }) {
      loss = { remaining: turn, when: 'with an error' };
      failure = { sqlState, continues };
    },
    [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
  };
  return proxy;
}

/** Encodes the message `ErrorResponse`, and `ReadyForQuery` if the session continues. */
function encodeFailure(
  { sqlState, continues }: { readonly sqlState: string; readonly continues: boolean },
  ready: Buffer,
): { data: Buffer; isLast: boolean } {
  const fields = Buffer.from(`S${continues ? 'ERROR' : 'FATAL'}\0C${sqlState}\0Mthe server was lost\0\0`);
  const header = Buffer.alloc(HEADER_LENGTH);
  header.write('E');
  header.writeUInt32BE(fields.length + HEADER_LENGTH - 1, 1);
  return { data: Buffer.concat([header, fields, continues ? ready : Buffer.alloc(0)]), isLast: !continues };
}
