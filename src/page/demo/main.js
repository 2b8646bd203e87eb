import { findSharedConversation, readConversation } from './conversation-picker.js';
import { watchAvailability } from './availability.js';
import { connectCode } from './code.js';
import { connectDevice } from './device.js';
import { createEventList } from './event-list.js';
import { createGraphqlSide } from './graphql-side.js';
import { createLegacySide } from './legacy-side.js';
import { connectSideRoom } from './side-room.js';
import { createPicture } from './sample-picture.js';
import { connectPhone } from './phone.js';
import { startPhoneView } from './phone-view.js';
import { connectRestart } from './restart.js';
import { logInBoth } from './logins.js';
import { createLegacyViews, createSide, fillPanel, newestIdOf } from './side.js';
import { createStopwatch } from './stopwatch.js';
import { connectViews } from './views.js';

const byId = (id) => document.getElementById(id);

async function start() {
  connectViews(byId('demo'));
  connectCode(byId('code'));
  const legacy = createLegacyViews();
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
  const newest = newestIdOf(history);
  // The legacy side joins first, so that it receives the presence of the other.
  await createLegacySide({ ...shared, ...legacy, other: graphql.account, io: globalThis.io, newest }).joined;
  const { getClient } = createGraphqlSide({
    ...shared,
    ...graphql,
    other: legacy.account,
    cursors: history.cursors,
    history: history.messages,
    onEvent: events.addEvent,
  });
  byId('send-picture').addEventListener('click', () => void createPicture().then(legacy.panel.sendFile));
  const showCaller = connectStartCall(byId('start-call'), legacy, graphql);
  const actions = { ...graphql, other: legacy.account, target, getClient, onEvent: events.addEvent };
  connectSideRoom({ item: byId('side-room'), ...actions });
  await connectDevice({ item: byId('device'), ...actions });
  await connectRestart({ item: byId('restart'), legacy, graphql });
  const phone = { item: byId('phone'), dialog: byId('phone-dialog'), name: legacy.account.firstName };
  await connectPhone({ ...phone, onUse: showCaller });
  watchAvailability([byId('legacy'), byId('graphql')]);
}

/**
 * Connects the button that starts a call between the sides. Returns the function to call when the legacy account uses a phone,
 * or no longer: its calls ring there, so the GraphQL side is then the one that calls.
 */
function connectStartCall(button, legacy, graphql) {
  let [caller, callee] = [legacy, graphql];
  button.addEventListener('click', () => caller.panel.root.querySelector('.call-button').click());
  const show = (isOnPhone) => {
    [caller, callee] = isOnPhone ? [graphql, legacy] : [legacy, graphql];
    button.textContent = `Call ${callee.account.firstName}`;
  };
  show(false);
  return show;
}

const run = new URLSearchParams(location.search).get('side') === 'legacy' ? startPhoneView : start;
run(byId('demo')).catch((error) => {
  byId('notice').hidden = false;
  byId('notice').textContent = `The demo could not start: ${error.message}`;
});
