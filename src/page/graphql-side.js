import { createGraphqlClient } from './graphql-client.js';
import { ask, oneLine } from './graphql.js';
import { asLine, readPlace, readPresence } from './conversation-picker.js';

const WHO = '... on User { id firstName } ... on Device { id firstName: name }';
const CONVERSATION_EVENTS = `
  subscription ConversationEvents($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent { message { legacyId text sentAt author { ${WHO} } } }
      ... on MessageUpdated { message { legacyId text } }
      ... on MessageDeleted { messageId }
      ... on ConversationUpdated { conversation { name } }
    }
  }`;
const CIRCLE_EVENTS = `
  subscription CircleEvents($id: ID!, $after: Cursor) {
    circleEvents(circleId: $id, after: $after) { __typename cursor }
  }`;
const TYPING = `subscription Typing($id: ID!) { typing(conversationId: $id) { isTyping actor { ${WHO} } } }`;
const PRESENCE = `subscription Presence($id: ID!) { presence(circleId: $id) { online actor { ${WHO} } } }`;
const SEND = `
  mutation Send($id: ID!, $text: String!, $key: String!) {
    sendMessage(conversationId: $id, text: $text, idempotencyKey: $key) { message { legacyId } }
  }`;
const SET_TYPING =
  'mutation SetTyping($id: ID!, $is: Boolean!) { setTyping(conversationId: $id, isTyping: $is) }';
const RENAME = `
  mutation Rename($id: ID!, $name: String!) {
    updateConversation(conversationId: $id, name: $name) { name }
  }`;

/** The side of a new app: subscriptions over one WebSocket, everything else over HTTP. */
export function createGraphqlSide({ account, other, place, cursors, panel, onFrame, crossing, onEvent }) {
  const { token } = account;
  const id = place.conversation.id;
  const run = (document, variables) => ask(document, variables, { token, onFrame });
  const side = { account, other, place, panel, onFrame, crossing, onEvent, cursors };
  const connection = followConnection(side);

  panel.connect({
    async send(text) {
      crossing.leave(text);
      await run(SEND, { id, text, key: crypto.getRandomValues(new Uint32Array(4)).join('-') });
    },
    // Nothing is lost with it, so nobody is told when it fails.
    type: (isTyping) => run(SET_TYPING, { id, is: isTyping }).catch(() => {}),
    rename: (name) => run(RENAME, { id, name }),
    goOffline: () => connection.close(),
    goOnline: () => connection.open(),
  });
  connection.open();
}

/** Subscribes until told otherwise. What was missed meanwhile comes when it is told to begin again. */
function followConnection(side) {
  const { account, panel, onFrame } = side;
  const url = `${location.origin.replace(/^http/, 'ws')}/graphql`;
  let client;

  const open = () => {
    panel.setState('connecting', 'Connecting…');
    const view = createConversationView(side);
    const onState = ({ payload: { variables }, status }) => {
      if (variables.id !== side.place.conversation.id) return;
      if (status === 'behind') return view.lost();
      view.live();
      void showPresence(side);
    };
    const onExpired = ({ payload: { variables } }) => startAfresh(side, variables.id);
    client = createGraphqlClient({ url, token: account.token, onFrame, onState, onExpired });
    subscribeAll(side, client, view);
  };
  const close = () => {
    // Before: its subscriptions complete, which is no end to be shown.
    panel.setState('away', 'Offline');
    void client.dispose();
  };
  return { open, close };
}

function subscribeAll(side, client, view) {
  const { account, other, place, panel, cursors } = side;
  const subscribe = (document, variables, next) =>
    client.subscribe(
      { query: oneLine(document), variables },
      { next: ({ data }) => next(data), error: (problem) => showEnd(panel, problem), complete() {} },
    );

  const conversation = { id: place.conversation.id, after: cursors.conversation };
  subscribe(CONVERSATION_EVENTS, conversation, ({ conversationEvents: event }) => {
    cursors.conversation = event.cursor;
    if (event.__typename !== 'StreamLive') view.show(event);
  });
  const circle = { id: place.circle.id, after: cursors.circle };
  subscribe(CIRCLE_EVENTS, circle, ({ circleEvents: event }) => {
    cursors.circle = event.cursor;
    if (event.__typename !== 'StreamLive') panel.note(`Circle: ${event.__typename}.`);
  });
  subscribe(TYPING, { id: place.conversation.id }, ({ typing }) => {
    if (typing.actor.id !== account.id) panel.setTyping(typing.isTyping ? typing.actor.firstName : null);
  });
  subscribe(PRESENCE, { id: place.circle.id }, ({ presence }) => {
    if (presence.actor.id !== other.id) return;
    setPresence(side, presence.online);
    panel.note(`${other.firstName} is ${presence.online ? 'online' : 'offline'}.`);
  });
}

/** What is for the app to know: the close of a session, or the errors with which the server ended a subscription. */
function showEnd(panel, problem) {
  const { code, reason } = problem;
  if (code === 4401 || code === 4403)
    return panel.setState('ended', `The session ended: ${reason}. Reload the page to log in again.`);
  panel.note(`Subscription ended: ${problem[0]?.message ?? problem.message ?? reason}`);
}

const setPresence = ({ other, panel }, isOnline) =>
  panel.setPresence(`${other.firstName} is ${isOnline ? 'online' : 'offline'}`, isOnline);

async function showPresence(side) {
  const { place, account, other, onFrame, panel } = side;
  try {
    setPresence(side, await readPresence(place, account, other, onFrame));
  } catch ({ message }) {
    panel.note(message);
  }
}

/** What happens in the conversation, and what had happened until then. */
function createConversationView(side) {
  const { panel, onEvent } = side;
  let missed = 0;
  let isLive = false;
  return {
    show(event) {
      if (!isLive) missed += 1;
      onEvent(event.__typename, doorOf(side, event));
      showEvent(side, event, !isLive);
    },
    live() {
      isLive = true;
      panel.setState('online', 'Connected: graphql-transport-ws');
      if (missed > 0) panel.note(`Resumed after the cursor: ${missed} missed, nothing lost.`);
      missed = 0;
    },
    lost() {
      isLive = false;
      panel.setState('lost', 'Connection lost. Trying again…');
    },
  };
}

/**
 * The log does not reach back to the cursor any more: what is there now is read as at the beginning. Answers the cursor
 * after which what follows in the circle or in the conversation comes.
 */
async function startAfresh({ place, account, panel, cursors, onFrame }, id) {
  const read = await readPlace(place, account, onFrame);
  if (id === place.circle.id) return (cursors.circle = read.cursors.circle);
  cursors.conversation = read.cursors.conversation;
  panel.clear();
  panel.setName(read.name);
  panel.note('Away for too long to resume: these are the newest messages.');
  for (const message of read.messages) panel.message(asLine(message, account));
  return cursors.conversation;
}

/** By which door a message of these two came in. */
const doorOf = ({ account, other }, { message }) =>
  ({ [account.id]: 'graphql', [other.id]: 'legacy' })[message?.author?.id] ?? '';

function showEvent({ panel, account, crossing }, event, isMissed) {
  switch (event.__typename) {
    case 'MessageSent': {
      const line = asLine(event.message, account);
      const after = line.isOwn || isMissed ? undefined : crossing.arrive('graphql', line.text);
      if (!line.isOwn) panel.setTyping(null);
      return panel.message({ ...line, after, isMissed });
    }
    case 'MessageUpdated':
      return panel.editMessage(event.message.legacyId, event.message.text);
    case 'MessageDeleted':
      return panel.removeMessage(event.messageId.replace('Message:', ''));
    case 'ConversationUpdated':
      panel.setName(event.conversation.name);
      return panel.note(`The conversation is now called “${event.conversation.name}”.`);
    default:
      return panel.note(`Conversation: ${event.__typename}.`);
  }
}
