import { Call } from './call.ts';
import { ConnectionMonitor } from './connection-monitor.ts';
import type { InnerClient, Sink, SubscribeListeners } from './inner.ts';
import { planOperation } from './plan.ts';
import type { Plan } from './plan.ts';
import { iterateResults } from './results.ts';
import type { Source } from './results.ts';
import { Subscription } from './subscription.ts';
import type { Reader, Shared } from './subscription.ts';
import type {
  CallHandle,
  CallOptions,
  OperationPayload,
  ResumableOptions,
  SubscriptionClient,
} from './types.ts';

export type {
  CallHandle,
  CallOptions,
  Candidate,
  Description,
  ExpiredCursor,
  NewCursor,
  OperationPayload,
  PeerConnection,
  ResumableOptions,
  SubscriptionClient,
  SubscriptionState,
} from './types.ts';

/**
 * Connects an RTCPeerConnection to that of another account in a call, over `sendSignal` and `signals`, by perfect negotiation. The
 * other client may be this function, or one of the mobile apps.
 */
export const connectCall = (options: CallOptions): CallHandle => new Call(options);

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;
const MAX_BUFFERED_BYTES = 1024 * 1024;
const SOCKET_SILENCE_MS = 30_000;
const STREAM_SILENCE_MS = 120_000;

/**
 * Wraps a client of graphql-ws or graphql-sse and returns one with the same methods. Durable subscriptions (those with a
 * variable of type `Cursor`) resume after the newest event when their connection ends: the app receives each event, and
 * `StreamLive`, exactly once. Subscriptions without a cursor are restarted, too, but miss the events in between. Queries and
 * mutations pass through. Disposing the returned client disposes the wrapped one.
 */
export function resumable<Client extends SubscriptionClient>(
  client: Client,
  options: ResumableOptions = {},
): Client {
  const inner = client as unknown as InnerClient;
  const { cursorVariable = 'after', maxBufferedBytes = MAX_BUFFERED_BYTES, silenceTimeout } = options;
  const isSocket = typeof inner.on === 'function';
  const connection = new ConnectionMonitor(inner, silenceTimeout ?? SOCKET_SILENCE_MS);
  const shared: Shared = {
    client: inner,
    connection,
    options,
    retryDelay: (attempt) => options.retryDelay?.(attempt) ?? jitteredDelay(attempt),
    silenceMs: isSocket ? 0 : (silenceTimeout ?? STREAM_SILENCE_MS),
  };
  const subscriptions = new Set<Subscription>();
  let isDisposed = false;

  const open = (
    payload: OperationPayload,
    plan: Plan,
    reader: Reader,
    listeners?: SubscribeListeners,
  ): Subscription => {
    const remove = (): void => void subscriptions.delete(subscription);
    const subscription = new Subscription(shared, {
      payload,
      plan,
      listeners,
      reader: {
        ...reader,
        error(problem) {
          remove();
          reader.error(problem);
        },
        complete() {
          remove();
          reader.complete();
        },
      },
    });
    subscriptions.add(subscription);
    subscription.start();
    return subscription;
  };

  /** Opens a resumable subscription; undefined for other operations. Errors are reported to the reader asynchronously. */
  const openResumable = (
    payload: OperationPayload,
    reader: Reader,
    listeners?: SubscribeListeners,
  ): Source | undefined => {
    try {
      const plan = planOperation(payload, cursorVariable);
      if (plan.type === 'plain') return undefined;
      if (isDisposed) throw new Error('The client is disposed.');
      return open(payload, plan, reader, listeners);
    } catch (problem) {
      queueMicrotask(() => reader.error(problem));
      return { resume() {}, unsubscribe() {} };
    }
  };

  const wrapped = {
    ...inner,
    subscribe(payload: OperationPayload, sink: Sink, listeners?: SubscribeListeners) {
      const source = openResumable(payload, toReader(sink), listeners);
      return source === undefined ? inner.subscribe(payload, sink, listeners) : () => source.unsubscribe();
    },
    iterate(payload: OperationPayload, listeners?: SubscribeListeners) {
      const results = iterateResults(maxBufferedBytes, (reader) => openResumable(payload, reader, listeners));
      return results ?? inner.iterate(payload, listeners);
    },
    async dispose() {
      isDisposed = true;
      const { isOpen } = connection;
      for (const subscription of subscriptions) subscription.unsubscribe();
      connection.close();
      // graphql-ws 6.4.2: without a connection, dispose() waits for the next one and rejects if there is none.
      const closed = Promise.resolve(inner.dispose()).catch(() => undefined);
      if (isOpen) await closed;
    },
  };
  return wrapped as unknown as Client;
}

const toReader = (sink: Sink): Reader => ({
  next: (result) => sink.next(result),
  error: (problem) => sink.error(problem),
  complete: () => sink.complete(),
});

function jitteredDelay(attempt: number): number {
  const delay = Math.min(FIRST_DELAY_MS * 2 ** attempt, MAX_DELAY_MS);
  return delay * (1 - Math.random() / 2);
}
