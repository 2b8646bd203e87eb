/** Counts, per side, the messages that were written during a restart and received. */
export function createTally(output) {
  let prefix = '';
  let written = 0;
  let received = { legacy: [], graphql: [] };
  let backAfterMs;

  const show = (text) => (output.textContent = text);
  const count = () => {
    const sides = Object.values(received);
    const missing = Math.max(...sides.map((texts) => written - new Set(texts).size));
    const repeated = sides.reduce((sum, texts) => sum + texts.length - new Set(texts).size, 0);
    if (backAfterMs === undefined)
      return show(`Stopped. ${written} written meanwhile, ${missing} to arrive…`);
    const state = missing === 0 ? 'lost 0' : `${missing} to arrive`;
    if (missing === 0 && repeated === 0) output.dataset.done = 'true';
    show(`${written} written: ${state}, repeated ${repeated}, back after ${backAfterMs} ms`);
  };
  return {
    reset() {
      prefix = `Restart at ${new Date(Date.now()).toTimeString().slice(0, 8)}`;
      written = 0;
      received = { legacy: [], graphql: [] };
      backAfterMs = undefined;
      delete output.dataset.done;
      count();
    },
    nextText() {
      written += 1;
      count();
      return `${prefix}, message ${written}`;
    },
    receive(side, text) {
      if (prefix === '' || !text.startsWith(prefix)) return;
      received[side].push(text);
      count();
    },
    showReturn(ms) {
      backAfterMs = Math.round(ms);
      count();
    },
    show,
  };
}
