const REPEAT_MS = 3_000;
const IDLE_MS = 4_000;
const FORGET_MS = 8_000;

/** Watches a text field: says `true` while somebody writes, again every few seconds, and `false` when they stop. */
export function watchTyping(input, say) {
  let saidAt = -Infinity;
  let idle;
  const stop = () => {
    clearTimeout(idle);
    if (saidAt > -Infinity) say(false);
    saidAt = -Infinity;
  };
  input.addEventListener('input', () => {
    clearTimeout(idle);
    if (input.value === '') return stop();
    idle = setTimeout(stop, IDLE_MS);
    if (performance.now() - saidAt < REPEAT_MS) return;
    saidAt = performance.now();
    say(true);
  });
  return { stop };
}

/** Shows who is writing, and forgets it when nothing more is heard: the word that they stopped may be lost. */
export function showTyping(line) {
  let timer;
  return (name) => {
    clearTimeout(timer);
    line.textContent = name ? `${name} is typing…` : '';
    if (name) timer = setTimeout(() => (line.textContent = ''), FORGET_MS);
  };
}
