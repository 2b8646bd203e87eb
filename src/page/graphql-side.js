import { openGraphqlSocket } from './graphql-socket.js';
import { ask } from './graphql.js';
import { asLine, readPlace, readPresence } from './place.js';

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

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

/** Keeps a connection open until told otherwise; waits longer after each failure. */
function followConnection(side) {
  const { account, panel, onFrame } = side;
  const url = `${location.origin.replace(/^http/, 'ws')}/graphql`;
  let current;
  let retryMs = FIRST_RETRY_MS;

  const open = () => {
    panel.setState('connecting', 'Connecting…');
    const onReady = () => {
      retryMs = FIRST_RETRY_MS;
      subscribeAll(side, socket);
    };
    const onClose = (code, reason) => {
      // One that was let go of, and perhaps followed by another, has no say any more.
      if (current !== socket) return;
      if (code === 4401 || code === 4403) {
        return panel.setState('ended', `The session ended: ${reason}. Reload the page to log in again.`);
      }
      panel.setState('lost', 'Connection lost. Trying again…');
      setTimeout(() => current === socket && open(), retryMs);
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    };
    const socket = openGraphqlSocket({ url, token: account.token, onFrame, onReady, onClose });
    current = socket;
  };
  const close = () => {
    const socket = current;
    current = undefined;
    socket.close();
    panel.setState('away', 'Offline');
  };
  return { open, close };
}

function subscribeAll(side, socket) {
  const { account, other, place, panel, onFrame } = side;
  const showPresence = (isOnline) => {
    panel.setPresence(`${other.firstName} is ${isOnline ? 'online' : 'offline'}`, isOnline);
  };
  const failed = ([{ message, extensions }]) => {
    // A server that stops closes the connection too, and that is shown.
    if (extensions?.reason !== 'DRAINING') panel.note(`Subscription ended: ${message}`);
  };

  followConversation(side, socket, failed);
  const circle = { id: place.circle.id, after: side.cursors.circle };
  socket.subscribe(CIRCLE_EVENTS, circle, {
    next({ data: { circleEvents: event } }) {
      side.cursors.circle = event.cursor;
      if (event.__typename !== 'StreamLive') panel.note(`Circle: ${event.__typename}.`);
    },
    error: failed,
  });
  socket.subscribe(
    TYPING,
    { id: place.conversation.id },
    {
      next({ data: { typing } }) {
        if (typing.actor.id !== account.id) panel.setTyping(typing.isTyping ? typing.actor.firstName : null);
      },
      error: failed,
    },
  );
  socket.subscribe(
    PRESENCE,
    { id: place.circle.id },
    {
      next({ data: { presence } }) {
        if (presence.actor.id !== other.id) return;
        showPresence(presence.online);
        panel.note(`${other.firstName} is ${presence.online ? 'online' : 'offline'}.`);
      },
      error: failed,
    },
  );
  readPresence(place, account, other, onFrame).then(showPresence, ({ message }) => panel.note(message));
}

/** Everything after the cursor: first what was missed, then a StreamLive, then what happens. */
function followConversation(side, socket, failed) {
  const { place, panel, cursors, onEvent } = side;
  let missed = 0;
  let isLive = false;
  const next = ({ data: { conversationEvents: event } }) => {
    cursors.conversation = event.cursor;
    if (event.__typename === 'StreamLive') {
      isLive = true;
      panel.setState('online', 'Connected: graphql-transport-ws');
      if (missed > 0) panel.note(`Resumed after the cursor: ${missed} missed, nothing lost.`);
      return;
    }
    if (!isLive) missed += 1;
    onEvent(event.__typename, doorOf(side, event));
    showEvent(side, event, !isLive);
  };
  const error = async (errors) => {
    const code = errors[0].extensions?.code;
    if (code !== 'CURSOR_EXPIRED' && code !== 'CURSOR_INVALID') return failed(errors);
    try {
      await startAfresh(side);
      followConversation(side, socket, failed);
    } catch (problem) {
      panel.note(problem.message);
    }
  };
  socket.subscribe(
    CONVERSATION_EVENTS,
    { id: place.conversation.id, after: cursors.conversation },
    { next, error },
  );
}

/** The log does not reach back to the cursor any more: what is there now is read as at the beginning. */
async function startAfresh({ place, account, panel, cursors, onFrame }) {
  const read = await readPlace(place, account, onFrame);
  Object.assign(cursors, read.cursors);
  panel.clear();
  panel.setName(read.name);
  panel.note('Away for too long to resume: these are the newest messages.');
  for (const message of read.messages) panel.message(asLine(message, account));
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
