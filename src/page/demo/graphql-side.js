import { createCallView } from './call-view.js';
import { createKey, createOutbox } from './outbox.js';
import { createGraphqlCall } from './graphql-call.js';
import { createGraphqlClient } from './graphql-client.js';
import { execute, oneLine } from './graphql.js';
import { toPanelFile } from './files.js';
import { uploadFile } from './upload.js';
import { INBOX_EVENTS, createReadState } from './read-state.js';
import { FILE, readConversation, readPresence, toPanelMessage } from './conversation-picker.js';

const ACTOR = '... on User { id firstName } ... on Device { id firstName: name }';
const CONVERSATION_EVENTS = `
  subscription ConversationEvents($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent { message { legacyId text sentAt author { ${ACTOR} } media { ${FILE} } } }
      ... on MediaUploaded { media { ${FILE} } message { legacyId author { ${ACTOR} } } }
      ... on MessageUpdated { message { legacyId text } }
      ... on MessageDeleted { messageId }
      ... on ConversationUpdated { conversation { name } }
    }
  }`;
const CIRCLE_EVENTS = `
  subscription CircleEvents($id: ID!, $after: Cursor) {
    circleEvents(circleId: $id, after: $after) { __typename cursor }
  }`;
const TYPING = `subscription Typing($id: ID!) { typing(conversationId: $id) { isTyping actor { ${ACTOR} } } }`;
const PRESENCE = `subscription Presence($id: ID!) { presence(circleId: $id) { online actor { ${ACTOR} } } }`;
const SEND = `
  mutation Send($id: ID!, $text: String!, $key: String!) {
    sendMessage(conversationId: $id, text: $text, idempotencyKey: $key) { message { legacyId } }
  }`;
const SEND_FILE = `
  mutation SendFile($id: ID!, $name: String!, $key: String!) {
    sendMessage(conversationId: $id, files: [$name], idempotencyKey: $key) { media { legacyId } }
  }`;
const SET_TYPING =
  'mutation SetTyping($id: ID!, $is: Boolean!) { setTyping(conversationId: $id, isTyping: $is) }';
const RENAME = `
  mutation Rename($id: ID!, $name: String!) {
    updateConversation(conversationId: $id, name: $name) { name }
  }`;

/**
 * Runs the side of a new app: subscriptions over one WebSocket, queries and mutations over HTTP. `history` has the messages that
 * the panel shows.
 */
export function createGraphqlSide({
  account,
  other,
  target,
  cursors,
  history,
  panel,
  onFrame,
  stopwatch,
  onEvent,
}) {
  const { token } = account;
  const id = target.conversation.id;
  const run = (document, variables) => execute(document, variables, { token, onFrame });
  const onError = (error) => panel.addNote(`Failed: ${error.message ?? JSON.stringify(error)}`);
  const view = createCallView(panel.root, {
    onCall: () => call.call(),
    onHangUp: () => call.hangUp(),
    onFailure(text) {
      panel.addNote(text);
      call.hangUp();
    },
  });
  const isOnline = () => panel.isOnline;
  const calls = { conversationId: id, otherId: other.id, run, isOnline };
  const call = createGraphqlCall({ ...calls, view, onEvent, onError });
  const outbox = createOutbox({
    send: ({ text, key }) => run(SEND, { id, text, key }),
    isOnline,
    onChange: panel.showWaiting,
    onRefused: onError,
  });
  const readState = createReadState({ id, run, isOnline, show: panel.setUnread, onError });
  const side = {
    account,
    other,
    target,
    panel,
    onFrame,
    stopwatch,
    onEvent,
    cursors,
    call,
    outbox,
    readState,
  };
  for (const { legacyId, author } of history) readState.addMessage(legacyId, author?.id === account.id);
  panel.watchSeen(readState.onSeen);
  const connection = manageConnection(side);

  panel.connect({
    write(text) {
      stopwatch.start(text);
      outbox.add(text);
    },
    async sendFile(file) {
      const { sendMessage } = await run(SEND_FILE, { id, name: file.name, key: createKey() });
      const mediaId = sendMessage.media[0].legacyId;
      const onProgress = (share) => panel.setProgress(mediaId, share);
      await uploadFile({ mediaId, file, token, onProgress, onFrame });
    },
    // Typing is ephemeral: a failure is not worth a note.
    type: (isTyping) => run(SET_TYPING, { id, is: isTyping }).catch(() => {}),
    rename: (name) => run(RENAME, { id, name }),
    goOffline() {
      call.hangUp();
      connection.close();
    },
    goOnline: () => connection.open(),
  });
  connection.open();
  return { getClient: connection.getClient };
}

/** Opens and closes the client. After a reopen the subscriptions resume after their last cursors. */
function manageConnection(side) {
  const { account, panel, onFrame } = side;
  const url = `${location.origin.replace(/^http/, 'ws')}/graphql`;
  let client;

  const open = () => {
    panel.setState('connecting', 'Connecting…');
    const view = createConversationView(side);
    const onState = ({ payload: { variables }, status }) => {
      if (variables.id !== side.target.conversation.id) return;
      if (status === 'behind') return view.showReconnecting();
      view.showLive();
      side.outbox.flush();
      side.call.resume();
      side.readState.mark();
      void showPresence(side);
    };
    const onExpired = ({ payload: { variables } }) =>
      variables.id === undefined ? undefined : reload(side, variables.id);
    client = createGraphqlClient({ url, token: account.token, onFrame, onState, onExpired });
    subscribeAll(side, client, view);
  };
  const close = () => {
    // Before dispose: it completes the subscriptions, which must not be shown as an end.
    panel.setState('offline', 'Offline');
    void client.dispose();
  };
  return { open, close, getClient: () => client };
}

function subscribeAll(side, client, view) {
  const { account, other, target, panel, cursors, call } = side;
  const subscribe = (document, variables, next) =>
    client.subscribe(
      { query: oneLine(document), variables },
      { next: ({ data }) => next(data), error: (problem) => showEnd(panel, problem), complete() {} },
    );

  const conversation = { id: target.conversation.id, after: cursors.conversation };
  subscribe(CONVERSATION_EVENTS, conversation, ({ conversationEvents: event }) => {
    cursors.conversation = event.cursor;
    if (event.__typename !== 'StreamLive') view.addEvent(event);
  });
  const circle = { id: target.circle.id, after: cursors.circle };
  subscribe(CIRCLE_EVENTS, circle, ({ circleEvents: event }) => {
    cursors.circle = event.cursor;
    if (event.__typename === 'StreamLive') return;
    side.onEvent(event.__typename);
    panel.addNote(`Circle: ${event.__typename}.`);
  });
  followInbox(side, client);
  call.listen(client, subscribe);
  subscribe(TYPING, { id: target.conversation.id }, ({ typing }) => {
    if (typing.actor.id !== account.id) panel.setTyping(typing.isTyping ? typing.actor.firstName : null);
  });
  subscribe(PRESENCE, { id: target.circle.id }, ({ presence }) => {
    if (presence.actor.id !== other.id) return;
    setPresence(side, presence.online);
    panel.addNote(`${other.firstName} is ${presence.online ? 'online' : 'offline'}.`);
  });
}

/** Follows the events of the account, from now on: the read state is read when the stream is live. */
function followInbox(side, client) {
  client.subscribe(
    { query: oneLine(INBOX_EVENTS), variables: {} },
    {
      next: ({ data }) => side.readState.handle(data.inboxEvents),
      error(problem) {
        if (problem[0]?.extensions?.code === 'CURSOR_EXPIRED') followInbox(side, client);
        else showEnd(side.panel, problem);
      },
      complete() {},
    },
  );
}

/** Shows the end of the session, or the errors with which the server ended a subscription. */
function showEnd(panel, problem) {
  const { code, reason } = problem;
  if (code === 4401 || code === 4403)
    return panel.setState('ended', `The session ended: ${reason}. Reload the page to log in again.`);
  panel.addNote(`Subscription ended: ${problem[0]?.message ?? problem.message ?? reason}`);
}

const setPresence = ({ other, panel }, isOnline) =>
  panel.setPresence(`${other.firstName} is ${isOnline ? 'online' : 'offline'}`, isOnline);

async function showPresence(side) {
  const { target, account, other, onFrame, panel } = side;
  try {
    setPresence(side, await readPresence(target, account, other, onFrame));
  } catch ({ message }) {
    panel.addNote(message);
  }
}

/** Shows the events of the conversation and counts those replayed before `StreamLive`. */
function createConversationView(side) {
  const { panel, onEvent } = side;
  let missed = 0;
  let isLive = false;
  return {
    addEvent(event) {
      if (!isLive) missed += 1;
      onEvent(event.__typename, senderOf(side, event), detailOf(event));
      showEvent(side, event, !isLive);
    },
    showLive() {
      isLive = true;
      panel.setState('online', 'Connected: graphql-transport-ws');
      if (missed > 0) panel.addNote(`Resumed after the cursor: ${missed} replayed.`);
      missed = 0;
    },
    showReconnecting() {
      isLive = false;
      panel.setState('reconnecting', 'Connection lost, reconnecting…');
    },
  };
}

/**
 * Reads the current state again after CURSOR_EXPIRED. Returns the cursor after which the subscription of the circle or the
 * conversation continues.
 */
async function reload({ target, account, panel, cursors, onFrame, readState }, id) {
  const data = await readConversation(target, account, onFrame);
  if (id === target.circle.id) return (cursors.circle = data.cursors.circle);
  cursors.conversation = data.cursors.conversation;
  panel.clear();
  panel.setName(data.name);
  panel.addNote('Offline for too long to resume: showing the newest messages.');
  for (const message of data.messages) {
    const line = toPanelMessage(message, account);
    panel.addMessage(line);
    readState.addMessage(line.id, line.isOwn);
  }
  return cursors.conversation;
}

/** Returns what the log shows of an event beside its name. */
const detailOf = ({ message, media, conversation }) =>
  media?.identifier ?? (message?.text || message?.media?.[0]?.identifier) ?? conversation?.name ?? '';

/** Returns which of the two sides sent the message of an event, or an empty string. */
const senderOf = ({ account, other }, { message }) =>
  ({ [account.id]: 'graphql', [other.id]: 'legacy' })[message?.author?.id] ?? '';

function showEvent({ panel, account, stopwatch, readState }, event, isMissed) {
  switch (event.__typename) {
    case 'MessageSent': {
      const line = toPanelMessage(event.message, account);
      panel.onText(line.text);
      const after = line.isOwn || isMissed ? undefined : stopwatch.stop(line.text);
      if (!line.isOwn) panel.setTyping(null);
      readState.addMessage(line.id, line.isOwn);
      return panel.addMessage({ ...line, after, isMissed });
    }
    case 'MessageUpdated':
      return panel.editMessage(event.message.legacyId, event.message.text);
    case 'MessageDeleted': {
      const messageId = Number(event.messageId.replace('Message:', ''));
      readState.removeMessage(messageId);
      return panel.removeMessage(messageId);
    }
    case 'MediaUploaded':
      return panel.showFile(event.message.legacyId, toPanelFile(event.media));
    case 'ConversationUpdated':
      panel.setName(event.conversation.name);
      return panel.addNote(`The conversation is now called “${event.conversation.name}”.`);
    default:
      return panel.addNote(`Conversation: ${event.__typename}.`);
  }
}
