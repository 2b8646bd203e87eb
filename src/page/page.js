import { createFrames } from './frames.js';
import { createGraphqlSide } from './graphql-side.js';
import { createLegacySide } from './legacy-side.js';
import { createPanel } from './panel.js';
import { asLine, findPlace, logIn, readPlace } from './conversation-picker.js';
import { createCrossing, createSchematic } from './event-diagram.js';

const DEMO = {
  legacy: { email: 'bob@example.com', password: 'parley' },
  graphql: { email: 'ann@example.com', password: 'parley' },
};
const byId = (id) => document.getElementById(id);

/** Logs one side in: with its demo account, or else with whatever is entered, until that is accepted. */
async function logInOrAsk(side, onFrame) {
  try {
    return await logIn(DEMO[side], onFrame);
  } catch (error) {
    if (error.code !== 'UNAUTHENTICATED') throw error;
  }
  byId('logins').hidden = false;
  byId('stage').hidden = true;
  return askToLogIn(byId(`${side}-login`), onFrame);
}

function askToLogIn(form, onFrame) {
  form.append(byId('login-template').content.cloneNode(true));
  form.querySelector('h4').textContent = form.ariaLabel;
  form.hidden = false;
  return new Promise((resolve) => {
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      try {
        resolve(await logIn(Object.fromEntries(new FormData(form)), onFrame));
        form.replaceChildren('Logged in.');
      } catch (error) {
        form.querySelector('.refusal').textContent = error.message;
      }
    });
  });
}

const createSide = (name, details) => ({
  panel: createPanel(byId(name), details),
  onFrame: createFrames(byId(`${name}-frames`)),
});

/** Shows who the side is and what was said before. */
function introduce({ panel, account }, door, { name, messages }) {
  panel.setTitle(`${account.firstName}, by ${door}`, account.firstName);
  panel.setName(name);
  for (const message of messages) panel.message(asLine(message, account));
}

async function start() {
  const legacy = createSide('legacy', { client: 'socket.io-client 1.3.6', mayRename: false });
  const graphql = createSide('graphql', { client: 'graphql-ws and parley/client', mayRename: true });
  [legacy.account, graphql.account] = await Promise.all([
    logInOrAsk('legacy'),
    logInOrAsk('graphql', graphql.onFrame),
  ]);
  byId('logins').hidden = true;
  byId('stage').hidden = false;

  const place = await findPlace(graphql.account, legacy.account);
  if (place === undefined)
    throw new Error('the two accounts share no conversation. Make one in GraphiQL first.');
  const past = await readPlace(place, graphql.account, graphql.onFrame);
  introduce(legacy, 'Socket.IO', past);
  introduce(graphql, 'GraphQL', past);
  const schematic = createSchematic();
  for (const { author } of past.messages) {
    schematic.event('MessageSent', author?.id === graphql.account.id ? 'graphql' : 'legacy');
  }

  const shared = { place, crossing: createCrossing(schematic) };
  const newest = past.messages.at(-1)?.legacyId ?? 0;
  // The first is in before the second connects, so that it hears of that.
  await createLegacySide({ ...shared, ...legacy, other: graphql.account, io: globalThis.io, newest }).entered;
  createGraphqlSide({
    ...shared,
    ...graphql,
    other: legacy.account,
    cursors: past.cursors,
    onEvent: schematic.event,
  });
}

start().catch((error) => {
  byId('notice').hidden = false;
  byId('notice').textContent = `The demo could not start: ${error.message}`;
});
