const RETRY_MS = 1_000;

/**
 * Keeps messages until the gateway has acknowledged them, and sends them in order, each with an idempotency key: a
 * message that is sent again, because its connection was lost before the acknowledgement, is delivered once.
 * `send(message)` rejects with `isRetryable` if it may not have arrived. `onChange` receives the pending texts.
 */
export function createOutbox({ send, isOnline, onChange, onRefused }) {
  const waiting = [];
  let isSending = false;
  let timer;

  const outbox = {
    /** Adds a message, and sends it if the client is online. */
    add(text) {
      waiting.push({ text, key: createKey() });
      onChange(waiting.map((message) => message.text));
      outbox.flush();
    },
    /**
     * Sends the queued messages while the client is online. Call it when it is online again. One that fails is sent again
     * after RETRY_MS, so that no call is needed when the client is online again before the failure is known.
     */
    flush() {
      clearTimeout(timer);
      if (isSending || waiting.length === 0 || !isOnline()) return;
      isSending = true;
      const [message] = waiting;
      send(message)
        .then(
          () => true,
          (error) => {
            if (!error.isRetryable) onRefused(error);
            return !error.isRetryable;
          },
        )
        .then((isDone) => {
          isSending = false;
          if (!isDone) return (timer = setTimeout(outbox.flush, RETRY_MS));
          waiting.shift();
          onChange(waiting.map(({ text }) => text));
          outbox.flush();
        });
    },
  };
  return outbox;
}

/** `crypto.randomUUID` exists on secure origins only. */
export const createKey = () => crypto.getRandomValues(new Uint32Array(4)).join('-');
