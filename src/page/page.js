import { createFrames } from './frames.js';
import { asLine, createGraphqlSide } from './graphql-side.js';
import { createLegacySide } from './legacy-side.js';
import { createPanel } from './panel.js';
import { findPlace, logIn, readPlace } from './place.js';
import { createCrossing, createSchematic } from './schematic.js';

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

/** One side's view, with what was said before. */
async function preparePanel(panel, { place, account, onFrame }) {
  const { name, messages, cursors } = await readPlace(place, account, onFrame);
  panel.setName(name);
  for (const message of messages) panel.message(asLine(message, account));
  return { cursors, messages, newest: messages.at(-1)?.legacyId ?? 0 };
}

async function start() {
  const panels = {
    legacy: createPanel(byId('legacy'), {
      client: 'socket.io-client 1.3.6',
      mayRename: false,
    }),
    graphql: createPanel(byId('graphql'), { client: 'WebSocket and fetch', mayRename: true }),
  };
  const onFrame = {
    legacy: createFrames(byId('legacy-frames')),
    graphql: createFrames(byId('graphql-frames')),
  };
  const [bob, ann] = await Promise.all([logInOrAsk('legacy'), logInOrAsk('graphql', onFrame.graphql)]);
  const accounts = { legacy: bob, graphql: ann };
  byId('logins').hidden = true;
  byId('stage').hidden = false;
  const place = await findPlace(accounts.graphql, accounts.legacy);
  if (place === undefined) {
    throw new Error(
      'These two accounts share no conversation. Make one in GraphiQL (createConversation) and reload.',
    );
  }
  panels.legacy.setTitle(`${bob.firstName}, by Socket.IO`, bob.firstName);
  panels.graphql.setTitle(`${ann.firstName}, by GraphQL`, ann.firstName);
  const schematic = createSchematic();
  const shared = { place, crossing: createCrossing(schematic) };
  const side = (name, otherName) => ({
    ...shared,
    account: accounts[name],
    other: accounts[otherName],
    panel: panels[name],
    onFrame: onFrame[name],
  });

  const legacy = side('legacy', 'graphql');
  const { newest } = await preparePanel(legacy.panel, { ...legacy, onFrame: undefined });
  const graphql = side('graphql', 'legacy');
  const { cursors, messages } = await preparePanel(graphql.panel, graphql);
  for (const { author } of messages)
    schematic.event('MessageSent', author?.id === ann.id ? 'graphql' : 'legacy');
  // The first is in before the second connects, so that it hears of that.
  await createLegacySide({ ...legacy, io: globalThis.io, newest }).entered;
  createGraphqlSide({ ...graphql, cursors, onEvent: schematic.event });
}

start().catch((error) => {
  byId('notice').hidden = false;
  byId('notice').textContent = `The demo could not start: ${error.message}`;
});
