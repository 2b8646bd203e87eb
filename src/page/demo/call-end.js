const RETRY_MS = 1_000;

/**
 * Ends calls: `add(task)` runs what tells the other client and the gateway, and repeats it until that was received, while
 * `isOnline()`. `repeat()` runs the tasks again that failed: call it when the client is online again. Failures that are
 * not of the connection show that the other client, or the call, is no longer there.
 */
export function createCallEnds(isOnline) {
  let pending = [];
  const add = (task) => {
    task().catch((error) => {
      if (!error.isRetryable) return;
      pending.push(task);
      if (pending.length === 1) setTimeout(() => isOnline() && repeat(), RETRY_MS);
    });
  };
  const repeat = () => {
    const tasks = pending;
    pending = [];
    tasks.forEach(add);
  };
  return { add, repeat };
}
