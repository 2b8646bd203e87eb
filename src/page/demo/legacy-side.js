import { createCallView } from './call-view.js';
import { createOutbox } from './outbox.js';
import { createLegacyCall } from './legacy-call.js';
import { uploadFile } from './upload.js';
import {
  readConversation,
  readFile,
  readName,
  readPresence,
  readText,
  toPanelMessage,
} from './conversation-picker.js';

const RECEIVED_CHANNELS = [
  'success',
  'error',
  'message',
  'media',
  'writing',
  'circle',
  'circle_invite',
  'device created',
  'conversation',
  'webrtc_forward',
];

/**
 * Runs the side of an app from 2015. Live data comes from the unmodified socket.io-client; what such apps read over REST
 * (names, message history, presence) is read over GraphQL.
 */
export function createLegacySide({ io, account, other, target, newest, panel, onFrame, stopwatch }) {
  const conversation = { conversation_id: target.conversation.legacyId };
  // `buffered` holds messages that arrive while the history is read; null otherwise.
  const state = { newest, hasJoined: false, buffered: null, transports: [] };
  const socket = io.connect(location.origin, { reconnectionDelay: 250, reconnectionDelayMax: 1_000 });
  const showPresence = (isOnline) => {
    panel.setPresence(`${other.firstName} is ${isOnline ? 'online' : 'offline'}`, isOnline);
  };
  const { request, settle } = createRequests({
    isConnected: () => socket.connected,
    emit(channel, payload) {
      onFrame('sent', channel, payload);
      socket.emit(channel, payload);
    },
  });

  const join = async () => {
    // Messages received after joining are buffered until the history is shown, to keep the order.
    state.buffered = [];
    await request('authenticate', { token: account.token });
    await request('join_circle', { circle_id: target.circle.legacyId });
    const isResumed = state.hasJoined && (await resume());
    if (!isResumed) await request('join_conversation', conversation);
    const { name, messages } = await readConversation(target, account);
    const history = isResumed ? [] : messages.map((message) => toPanelMessage(message, account));
    const lines = [...history, ...state.buffered].map((line) => ({ ...line, isMissed: state.hasJoined }));
    state.buffered = null;
    for (const line of lines) if (line.id > state.newest) show(line);
    panel.setName(name);
    panel.setState('online', describe(state));
    outbox.flush();
    call.resume();
    showPresence(await readPresence(target, account, other));
    state.hasJoined = true;
  };

  /** Joins with `after_message_id`, which apps from 2015 do not send: the server replays the messages after it first. */
  const resume = () =>
    request('join_conversation', { ...conversation, after_message_id: state.newest }).then(
      () => true,
      () => {
        panel.addNote('Offline for too long to resume: showing the newest messages.');
        return false;
      },
    );

  const show = (line) => {
    if (state.buffered !== null) return state.buffered.push(line);
    state.newest = Math.max(state.newest, line.id);
    panel.addMessage(line);
  };

  const view = createCallView(panel.root, {
    onCall: () => call.call(),
    onHangUp: () => call.hangUp(),
    onFailure(text) {
      panel.addNote(text);
      call.hangUp();
    },
  });
  const call = createLegacyCall({
    otherId: Number(other.id.replace('User:', '')),
    forward: (payload) => request('webrtc_forward', payload),
    isOnline: () => panel.isOnline,
    view,
    onError: ({ message }) => panel.addNote(`Failed: ${message}`),
  });
  const outbox = createOutbox({
    // Apps of 2015 have no `client_message_id`: theirs are sent once.
    send: ({ text, key }) =>
      request('message', { ...conversation, text_message: text, client_message_id: key }),
    isOnline: () => panel.isOnline,
    onChange: panel.showWaiting,
    onRefused: ({ message }) => panel.addNote(`Failed: ${message}`),
  });
  const joinInvited = (id) => request('join_conversation', { conversation_id: id });
  const shared = { account, other, target, panel, show, stopwatch, settle, showPresence, joinInvited };
  const handlers = createHandlers(shared);
  for (const channel of RECEIVED_CHANNELS) {
    socket.on(channel, (payload) => {
      onFrame('received', channel, payload);
      if (channel === 'webrtc_forward') call.receive(payload);
      else handlers[channel]?.(payload);
    });
  }
  const joined = watchConnection({ socket, state, panel, onFrame, join, settle });

  panel.connect({
    write(text) {
      stopwatch.start(text);
      outbox.add(text);
    },
    async sendFile(file) {
      const { message_id, media_list } = await request('message', { ...conversation, files: [file.name] });
      const [{ id: mediaId }] = media_list;
      const line = {
        id: message_id,
        author: account.firstName,
        isOwn: true,
        text: '',
        sentAt: new Date(Date.now()).toISOString(),
      };
      show({ ...line, files: [{ id: mediaId, name: file.name }] });
      const onProgress = (share) => panel.setProgress(mediaId, share);
      await uploadFile({ mediaId, file, token: account.token, onProgress, onFrame });
    },
    // Typing is ephemeral: a failure is not worth a note.
    type: (isTyping) => request('writing', { ...conversation, is_writing: isTyping }).catch(() => {}),
    goOffline() {
      call.hangUp();
      socket.disconnect();
      panel.setState('offline', 'Offline');
    },
    goOnline() {
      panel.setState('connecting', 'Connecting…');
      socket.connect();
    },
  });
  return { joined };
}

const describe = ({ transports }) => `Connected: ${transports.join(', then ')}`;

const createLossError = () => Object.assign(new Error('the connection was lost'), { isRetryable: true });

/**
 * Matches replies to requests: the server sends one `success` or `error` per request, in order. Rejects requests without a
 * connection: socket.io-client would send them after those of the next connection, and the order would be another one.
 */
function createRequests({ isConnected, emit }) {
  const pending = [];
  return {
    request: (channel, payload) =>
      new Promise((resolve, reject) => {
        if (!isConnected()) return reject(createLossError());
        pending.push({ resolve, reject });
        emit(channel, payload);
      }),
    /** Settles the oldest request (`resolve` or `reject`). Returns whether there was one. */
    settle(method, value) {
      const request = pending.shift();
      request?.[method](value);
      return request !== undefined;
    },
  };
}

/** Creates the handler of each received channel. */
function createHandlers({
  account,
  other,
  target,
  panel,
  show,
  stopwatch,
  settle,
  showPresence,
  joinInvited,
}) {
  let mediaReply;
  const nameOf = (email) => (email === other.email ? other.firstName : email);
  return {
    // The reply to a message with files, before its `success`.
    media: (payload) => (mediaReply = payload),
    success(payload) {
      settle('resolve', { ...mediaReply, ...payload });
      mediaReply = undefined;
    },
    error(text) {
      if (settle('reject', new Error(text))) return;
      panel.setState('ended', `The session ended: ${text}. Reload the page to log in again.`);
    },
    async message({ event, message, message_id, sender, time, media }) {
      if (event === 'delete') return panel.removeMessage(message_id);
      if (event === 'update') return panel.editMessage(message_id, await readText(message_id, account));
      if (sender === undefined) return;
      const isOwn = sender.email === account.email;
      if (media === undefined) panel.onText(message.content);
      const files = media === undefined ? [] : [await readFile(media.id, account)];
      if (panel.hasMessage(message.id)) return files.forEach((file) => panel.showFile(message.id, file));
      const after = isOwn ? undefined : stopwatch.stop(message.content);
      const author = sender.first_name ?? sender.name;
      panel.setTyping(null);
      show({
        id: message.id,
        author,
        isOwn,
        text: message.content,
        sentAt: `${time ?? message.sent}Z`,
        after,
        files,
      });
    },
    writing({ device, user, is_writing }) {
      if (user !== account.email) panel.setTyping(is_writing ? (device ? 'The device' : nameOf(user)) : null);
    },
    'device created': () => panel.addNote('Circle: a device was added.'),
    async conversation({ event, user, conversation_id }) {
      if (event === 'invite') await joinInvited(conversation_id);
      if (event !== 'update' || conversation_id !== target.conversation.legacyId)
        return panel.addNote(`Conversation: ${[event, user].filter(Boolean).join(', ')}.`);
      const name = await readName(target, account);
      panel.setName(name);
      panel.addNote(`The conversation is now called “${name}”.`);
    },
    circle({ event, user }) {
      const isPresence = event === 'connect' || event === 'disconnect';
      if (!isPresence) return panel.addNote(`Circle: ${[event, user].filter(Boolean).join(', ')}.`);
      if (user !== other.email) return;
      showPresence(event === 'connect');
      panel.addNote(`${other.firstName} is ${event === 'connect' ? 'online' : 'offline'}.`);
    },
  };
}

/** Joins after every connect and shows the transports in use. Resolves after the first attempt. */
function watchConnection({ socket, state, panel, onFrame, join, settle }) {
  socket.io.on('open', () => {
    const { engine } = socket.io;
    state.transports = [engine.transport.name];
    engine.on('upgrade', ({ name }) => {
      state.transports.push(name);
      onFrame('received', 'upgrade', { transport: name });
      panel.setStateText(describe(state));
    });
  });
  socket.on('disconnect', (reason) => {
    onFrame('received', 'disconnect', { reason });
    while (settle('reject', createLossError())) continue;
    const isWanted = reason === 'io client disconnect' || reason === 'io server disconnect';
    if (!isWanted) panel.setState('reconnecting', 'Connection lost, reconnecting…');
  });
  return new Promise((resolve) => {
    socket.on('connect', () => {
      onFrame('received', 'connect', { transport: state.transports[0] });
      const failed = ({ message }) =>
        socket.connected && panel.setState('ended', `Could not log in: ${message}. Reload the page.`);
      join().catch(failed).finally(resolve);
    });
  });
}
