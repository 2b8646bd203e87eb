import { createTally } from './tally.js';

const WRITE_MS = 500;
const ADDRESS = '/demo/restart';

/**
 * Connects the restart of the gateway: both sides write while it stops and starts, and the tally counts what each of them
 * receives. Hidden where the gateway does not allow it.
 */
export async function connectRestart({ item, legacy, graphql }) {
  const { isAvailable } = await (await fetch(ADDRESS)).json();
  item.hidden = !isAvailable;
  const button = item.querySelector('button[data-needs]');
  const tally = createTally(item.querySelector('.tally'));
  for (const side of [legacy, graphql]) side.panel.onText = (text) => tally.receive(side.panel.root.id, text);
  button.addEventListener('click', () => {
    button.disabled = true;
    restart({ tally, legacy, graphql })
      .catch(({ message }) => tally.show(`Failed: ${message}`))
      .finally(() => (button.disabled = false));
  });
}

async function restart({ tally, legacy, graphql }) {
  const sides = [legacy.panel, graphql.panel];
  tally.reset();
  const startedAt = performance.now();
  const timer = setInterval(() => {
    for (const panel of sides) panel.write(tally.nextText());
  }, WRITE_MS);
  try {
    const response = await fetch(ADDRESS, { method: 'POST', headers: { 'x-parley-preflight': '1' } });
    if (!response.ok) throw new Error((await response.json()).message);
    await Promise.all(sides.map((panel) => untilState(panel.root, (state) => state !== 'online')));
    await Promise.all(sides.map((panel) => untilState(panel.root, (state) => state === 'online')));
    tally.showReturn(performance.now() - startedAt);
  } finally {
    clearInterval(timer);
  }
}

/** Resolves when the state of a side fulfils the condition. */
function untilState(root, isFulfilled) {
  return new Promise((resolve) => {
    const check = () => {
      if (!isFulfilled(root.dataset.state)) return;
      observer.disconnect();
      resolve();
    };
    const observer = new MutationObserver(check);
    observer.observe(root, { attributeFilter: ['data-state'] });
    check();
  });
}
