/**
 * Ends calls: `add(task)` runs what tells the other client and the gateway, and `repeat()` those tasks again that failed
 * because the connection was lost. Call it when the client is online again. Other failures show that the other client, or the
 * call, is no longer there.
 */
export function createCallEnds() {
  let pending = [];
  const add = (task) => {
    task().catch((error) => {
      if (error.isRetryable) pending.push(task);
    });
  };
  return {
    add,
    repeat() {
      const tasks = pending;
      pending = [];
      tasks.forEach(add);
    },
  };
}
