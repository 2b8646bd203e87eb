import { asLine, readName, readPlace, readPresence, readText } from './conversation-picker.js';

const HEARD = ['success', 'error', 'message', 'media', 'writing', 'circle', 'circle_invite', 'conversation'];

/**
 * The side of an app from 2015. Whatever happens live comes from socket.io-client as it was published; what such apps
 * read over REST (names, what was said before, who is online) is asked for by GraphQL.
 */
export function createLegacySide({ io, account, other, place, newest, panel, onFrame, crossing }) {
  const conversation = { conversation_id: place.conversation.legacyId };
  const seen = { newest, wasHere: false, held: null, transports: [] };
  const socket = io.connect(location.origin);
  const showPresence = (isOnline) => {
    panel.setPresence(`${other.firstName} is ${isOnline ? 'online' : 'offline'}`, isOnline);
  };
  const { request, settle } = createRequests((channel, payload) => {
    onFrame('sent', channel, payload);
    socket.emit(channel, payload);
  });

  const enter = async () => {
    // What is said from joining on waits until what was said before is shown.
    seen.held = [];
    await request('authenticate', { token: account.token });
    await request('join_circle', { circle_id: place.circle.legacyId });
    const isResumed = seen.wasHere && (await resume());
    if (!isResumed) await request('join_conversation', conversation);
    const { name, messages } = await readPlace(place, account);
    const before = isResumed ? [] : messages.map((message) => asLine(message, account));
    const lines = [...before, ...seen.held].map((line) => ({ ...line, isMissed: seen.wasHere }));
    seen.held = null;
    for (const line of lines) if (line.id > seen.newest) show(line);
    panel.setName(name);
    panel.setState('online', describe(seen));
    showPresence(await readPresence(place, account, other));
    seen.wasHere = true;
  };

  /** Joins with the one field that apps from 2015 never send: what came after that message is said first. */
  const resume = () =>
    request('join_conversation', { ...conversation, after_message_id: seen.newest }).then(
      () => true,
      () => {
        panel.note('Away for too long to resume: these are the newest messages.');
        return false;
      },
    );

  const show = (line) => {
    if (seen.held !== null) return seen.held.push(line);
    seen.newest = line.id;
    panel.message(line);
  };

  const hear = createEars({ account, other, place, panel, show, crossing, settle, showPresence });
  for (const channel of HEARD) {
    socket.on(channel, (payload) => {
      onFrame('received', channel, payload);
      hear[channel]?.(payload);
    });
  }
  const entered = followConnection({ socket, seen, panel, onFrame, enter, settle });

  panel.connect({
    async send(text) {
      crossing.leave(text);
      await request('message', { ...conversation, text_message: text });
    },
    // Nothing is lost with it, so nobody is told when it fails.
    type: (isTyping) => request('writing', { ...conversation, is_writing: isTyping }).catch(() => {}),
    goOffline() {
      socket.disconnect();
      panel.setState('away', 'Offline');
    },
    goOnline() {
      panel.setState('connecting', 'Connecting…');
      socket.connect();
    },
  });
  return { entered };
}

const describe = ({ transports }) => `Connected: ${transports.join(', then ')}`;

/** The server answers in order: one `success` or `error` to each request. */
function createRequests(emit) {
  const waiting = [];
  return {
    request: (channel, payload) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        emit(channel, payload);
      }),
    /** Answers the oldest request, and whether there was one. */
    settle(how, value) {
      const request = waiting.shift();
      request?.[how](value);
      return request !== undefined;
    },
  };
}

/** What the app does with each channel that it hears. */
function createEars({ account, other, place, panel, show, crossing, settle, showPresence }) {
  const nameOf = (email) => (email === other.email ? other.firstName : email);
  return {
    success: (payload) => settle('resolve', payload),
    error(words) {
      if (settle('reject', new Error(words))) return;
      panel.setState('ended', `The session ended: ${words}. Reload the page to log in again.`);
    },
    async message({ event, message, message_id, sender, time }) {
      if (event === 'delete') return panel.removeMessage(message_id);
      if (event === 'update') return panel.editMessage(message_id, await readText(message_id, account));
      if (sender === undefined) return;
      const isOwn = sender.email === account.email;
      const after = isOwn ? undefined : crossing.arrive('legacy', message.content);
      const author = sender.first_name ?? sender.name;
      panel.setTyping(null);
      show({ id: message.id, author, isOwn, text: message.content, sentAt: `${time}Z`, after });
    },
    writing({ device, user, is_writing }) {
      if (user !== account.email) panel.setTyping(is_writing ? (device ? 'The device' : nameOf(user)) : null);
    },
    async conversation({ event, user }) {
      if (event !== 'update') return panel.note(`Conversation: ${[event, user].filter(Boolean).join(', ')}.`);
      const name = await readName(place, account);
      panel.setName(name);
      panel.note(`The conversation is now called “${name}”.`);
    },
    circle({ event, user }) {
      const isPresence = event === 'connect' || event === 'disconnect';
      if (!isPresence) return panel.note(`Circle: ${[event, user].filter(Boolean).join(', ')}.`);
      if (user !== other.email) return;
      showPresence(event === 'connect');
      panel.note(`${other.firstName} is ${event === 'connect' ? 'online' : 'offline'}.`);
    },
  };
}

/** Enters again after every connect, and says what the connection is. Resolves when it has tried for the first time. */
function followConnection({ socket, seen, panel, onFrame, enter, settle }) {
  socket.io.on('open', () => {
    const { engine } = socket.io;
    seen.transports = [engine.transport.name];
    engine.on('upgrade', ({ name }) => {
      seen.transports.push(name);
      onFrame('received', 'upgrade', { transport: name });
      panel.describe(describe(seen));
    });
  });
  socket.on('disconnect', (reason) => {
    onFrame('received', 'disconnect', { reason });
    while (settle('reject', new Error('the connection is over'))) continue;
    const isWanted = reason === 'io client disconnect' || reason === 'io server disconnect';
    if (!isWanted) panel.setState('lost', 'Connection lost. Trying again…');
  });
  return new Promise((resolve) => {
    socket.on('connect', () => {
      onFrame('received', 'connect', { transport: seen.transports[0] });
      const failed = ({ message }) =>
        socket.connected && panel.setState('ended', `Could not log in: ${message}. Reload the page.`);
      enter().catch(failed).finally(resolve);
    });
  });
}
