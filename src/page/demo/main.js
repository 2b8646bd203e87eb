import { findSharedConversation, readConversation, toPanelMessage } from './conversation-picker.js';
import { watchAvailability } from './availability.js';
import { connectCode } from './code.js';
import { connectDevice } from './device.js';
import { createEventList } from './event-list.js';
import { createFrames } from './frames.js';
import { createGraphqlSide } from './graphql-side.js';
import { createLegacySide } from './legacy-side.js';
import { connectSideRoom } from './side-room.js';
import { createPicture } from './sample-picture.js';
import { connectRestart } from './restart.js';
import { logInBoth } from './logins.js';
import { createPanel } from './panel.js';
import { createStopwatch } from './stopwatch.js';
import { connectViews } from './views.js';

const byId = (id) => document.getElementById(id);

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
  connectViews(byId('demo'));
  connectCode(byId('code'));
  const legacy = createSide('legacy', { client: 'socket.io-client 1.3.6', mayRename: false });
  const graphql = createSide('graphql', { client: 'graphql-ws and parley/client', mayRename: true });
  [legacy.account, graphql.account] = await logInBoth(graphql.onFrame);

  const target = await findSharedConversation(graphql.account, legacy.account);
  if (target === undefined)
    throw new Error('the two accounts share no conversation. Create one in GraphiQL first.');
  const history = await readConversation(target, graphql.account, graphql.onFrame);
  fillPanel(legacy, 'Socket.IO', await readConversation(target, legacy.account));
  fillPanel(graphql, 'GraphQL', history);
  const events = createEventList(byId('events'));
  for (const { author, text, media } of history.messages) {
    const sender = { [graphql.account.id]: 'graphql', [legacy.account.id]: 'legacy' }[author?.id];
    events.addEvent('MessageSent', sender, text || media[0]?.identifier);
  }

  const shared = { target, stopwatch: createStopwatch() };
  const newest = history.messages.at(-1)?.legacyId ?? 0;
  // The legacy side joins first, so that it receives the presence of the other.
  await createLegacySide({ ...shared, ...legacy, other: graphql.account, io: globalThis.io, newest }).joined;
  const { getClient } = createGraphqlSide({
    ...shared,
    ...graphql,
    other: legacy.account,
    cursors: history.cursors,
    onEvent: events.addEvent,
  });
  byId('send-picture').addEventListener('click', () => void createPicture().then(legacy.panel.sendFile));
  byId('start-call').addEventListener('click', () => byId('legacy').querySelector('.call-button').click());
  const actions = { ...graphql, other: legacy.account, target, getClient, onEvent: events.addEvent };
  connectSideRoom({ item: byId('side-room'), ...actions });
  await connectDevice({ item: byId('device'), ...actions });
  await connectRestart({ item: byId('restart'), legacy, graphql });
  watchAvailability([byId('legacy'), byId('graphql')]);
}

start().catch((error) => {
  byId('notice').hidden = false;
  byId('notice').textContent = `The demo could not start: ${error.message}`;
});
