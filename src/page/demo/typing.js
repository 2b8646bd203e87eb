const REPEAT_MS = 3_000;
const IDLE_MS = 4_000;
const HIDE_MS = 8_000;

/** Calls `send(true)` while the user types, repeated every REPEAT_MS, and `send(false)` when they stop. */
export function watchTyping(input, send) {
  let sentAt = -Infinity;
  let idle;
  const stop = () => {
    clearTimeout(idle);
    if (sentAt > -Infinity) send(false);
    sentAt = -Infinity;
  };
  input.addEventListener('input', () => {
    clearTimeout(idle);
    if (input.value === '') return stop();
    idle = setTimeout(stop, IDLE_MS);
    if (performance.now() - sentAt < REPEAT_MS) return;
    sentAt = performance.now();
    send(true);
  });
  return { stop };
}

/** Shows who is typing. Hides it after HIDE_MS without an update: the notice that they stopped may be lost. */
export function showTyping(line) {
  let timer;
  return (name) => {
    clearTimeout(timer);
    line.textContent = name ? `${name} is typing…` : '';
    if (name) timer = setTimeout(() => (line.textContent = ''), HIDE_MS);
  };
}
