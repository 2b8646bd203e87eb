import { createFrames } from './frames.js';
import { createGraphqlSide } from './graphql-side.js';
import { createLegacySide } from './legacy-side.js';
import { createPanel } from './panel.js';
import { findSharedConversation, logIn, readConversation, toPanelMessage } from './conversation-picker.js';
import { createDiagram, createStopwatch } from './event-diagram.js';

const DEMO = {
  legacy: { email: 'bob@example.com', password: 'parley' },
  graphql: { email: 'ann@example.com', password: 'parley' },
};
const byId = (id) => document.getElementById(id);

/** Logs one side in with its demo account, or shows a form until a login succeeds. */
async function logInSide(side, onFrame) {
  try {
    return await logIn(DEMO[side], onFrame);
  } catch (error) {
    if (error.code !== 'UNAUTHENTICATED') throw error;
  }
  byId('logins').hidden = false;
  byId('sides').hidden = true;
  return logInWithForm(byId(`${side}-login`), onFrame);
}

function logInWithForm(form, onFrame) {
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

/** Shows the account, the conversation and its newest messages. */
function fillPanel({ panel, account }, protocol, { name, messages }) {
  panel.setTitle(`${account.firstName}, ${protocol}`, account.firstName);
  panel.setName(name);
  for (const message of messages) panel.addMessage(toPanelMessage(message, account));
}

async function start() {
  const legacy = createSide('legacy', { client: 'socket.io-client 1.3.6', mayRename: false });
  const graphql = createSide('graphql', { client: 'graphql-ws and parley/client', mayRename: true });
  [legacy.account, graphql.account] = await Promise.all([
    logInSide('legacy'),
    logInSide('graphql', graphql.onFrame),
  ]);
  byId('logins').hidden = true;
  byId('sides').hidden = false;

  const target = await findSharedConversation(graphql.account, legacy.account);
  if (target === undefined)
    throw new Error('the two accounts share no conversation. Create one in GraphiQL first.');
  const history = await readConversation(target, graphql.account, graphql.onFrame);
  fillPanel(legacy, 'Socket.IO', history);
  fillPanel(graphql, 'GraphQL', history);
  const diagram = createDiagram();
  for (const { author } of history.messages) {
    diagram.addEvent('MessageSent', author?.id === graphql.account.id ? 'graphql' : 'legacy');
  }

  const shared = { target, stopwatch: createStopwatch(diagram) };
  const newest = history.messages.at(-1)?.legacyId ?? 0;
  // The legacy side joins first, so that it receives the presence of the other.
  await createLegacySide({ ...shared, ...legacy, other: graphql.account, io: globalThis.io, newest }).joined;
  createGraphqlSide({
    ...shared,
    ...graphql,
    other: legacy.account,
    cursors: history.cursors,
    onEvent: diagram.addEvent,
  });
}

start().catch((error) => {
  byId('notice').hidden = false;
  byId('notice').textContent = `The demo could not start: ${error.message}`;
});
