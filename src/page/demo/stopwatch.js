/** Measures the delay of a message from Send on one side to its arrival on the other, by its text. */
export function createStopwatch() {
  const sentAt = new Map();
  return {
    start: (text) => sentAt.set(text, performance.now()),
    /** Returns the delay in milliseconds; undefined when this page did not send the message. */
    stop(text) {
      const at = sentAt.get(text);
      if (at === undefined) return undefined;
      sentAt.delete(text);
      return Math.max(1, Math.round(performance.now() - at));
    },
  };
}
