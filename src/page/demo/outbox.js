/**
 * Keeps messages until the gateway has acknowledged them, and sends them in order, each with an idempotency key: a
 * message that is sent again, because its connection was lost before the acknowledgement, is delivered once.
 * `send(message)` rejects with `isRetryable` if it may not have arrived. `onChange` receives the pending texts.
 */
export function createOutbox({ send, onChange, onRefused }) {
  const waiting = [];
  let sending;

  const drain = async () => {
    while (waiting.length > 0) {
      const [message] = waiting;
      try {
        await send(message);
      } catch (error) {
        if (error.isRetryable) return;
        onRefused(error);
      }
      waiting.shift();
      onChange(waiting.map(({ text }) => text));
    }
  };
  const outbox = {
    /** Adds a message, and sends it if `isOnline`. */
    add(text, isOnline) {
      waiting.push({ text, key: createKey() });
      onChange(waiting.map((message) => message.text));
      if (isOnline) outbox.flush();
    },
    /** Sends the queued messages. Call it when the client is online again. */
    flush() {
      sending ??= drain().finally(() => (sending = undefined));
    },
  };
  return outbox;
}

/** `crypto.randomUUID` exists on secure origins only. */
export const createKey = () => crypto.getRandomValues(new Uint32Array(4)).join('-');
