import { element, followEnd } from '../element.js';
import { acceptFiles, createFileItem } from './files.js';
import { watchSeen } from './seen.js';
import { showTyping, watchTyping } from './typing.js';

const MAX_LINES = 100;
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/** Creates the view of one side. It is independent of the protocol. */
export function createPanel(root, { client, mayRename }) {
  root.append(document.getElementById('side-template').content.cloneNode(true));
  const find = (selector) => root.querySelector(selector);
  const log = find('.log');
  const [lines, drafts] = log.children;
  const [composer, toggle, rename] = [find('.composer'), find('.toggle'), find('.rename')];
  const input = composer.querySelector('label input');
  find('.who').textContent = root.ariaLabel;
  find('.client').textContent = client;
  find('.unread').dataset.unread = root.id;
  log.ariaLabel = `Messages, ${root.ariaLabel}`;

  const follow = followEnd(log);
  // Pictures get their height as they load; the event does not bubble.
  log.addEventListener('load', follow, true);
  const add = (line) => {
    lines.append(line);
    while (lines.children.length > MAX_LINES) lines.firstElementChild.remove();
    follow();
  };
  let observe = () => {};
  const findMessage = (id) => lines.querySelector(`[data-message="${Number(id)}"]`);
  const findFile = (id) => lines.querySelector(`[data-file="${Number(id)}"]`);

  const panel = {
    root,
    /** Connects the controls to actions: `write(text)`, `sendFile(file)`, `type(isTyping)`, `rename(name)`, `goOffline()`, `goOnline()`. */
    connect(actions) {
      connectControls({ root, composer, input, toggle, rename, actions, panel });
      panel.write = actions.write;
      panel.sendFile = (file) => panel.attempt(actions.sendFile(file));
      acceptFiles(root, panel.sendFile);
    },
    get isOnline() {
      return root.dataset.state === 'online';
    },
    /** Shows the messages that wait to be sent. */
    showWaiting(texts) {
      drafts.replaceChildren(...texts.map((text) => element('li', '', text)));
      follow();
    },
    /** Called with the text of each message as it is received. */
    onText() {},
    /** Shows the failure of an action. */
    attempt: (action) => action.catch((error) => panel.addNote(`Failed: ${error.message}`)),
    /** Sets the connection state: connecting, online, offline, reconnecting or ended. */
    setState(state, text) {
      root.dataset.state = state;
      find('.state').textContent = text;
      const isOnline = state === 'online';
      // What is written offline waits in the outbox.
      const isWritable = state !== 'connecting' && state !== 'ended';
      for (const control of composer.querySelectorAll(':is(label input, [type=submit])'))
        control.disabled = !isWritable;
      composer.querySelector('.attach button').disabled = !isOnline;
      rename.hidden = !(mayRename && isOnline);
      toggle.disabled = state === 'ended';
      toggle.textContent = state === 'offline' ? 'Go online' : 'Go offline';
      if (isOnline) return;
      panel.setPresence('');
      panel.setTyping(null);
    },
    /** Replaces the text of the online state. */
    setStateText(text) {
      if (root.dataset.state === 'online') find('.state').textContent = text;
    },
    setTitle(title, writer) {
      find('.who').textContent = title;
      input.placeholder = `Write as ${writer}`;
      log.ariaLabel = `Messages, ${title}`;
    },
    setName(name) {
      find('.name').textContent = name;
      rename.querySelector('input').value = name;
    },
    setPresence(text, isOnline = false) {
      find('.presence').textContent = text;
      find('.presence').dataset.online = isOnline;
    },
    setTyping: showTyping(find('.typing')),
    addNote: (text) => add(element('li', 'note', text)),
    addMessage(message) {
      const item = createMessageItem(message);
      add(item);
      observe(item);
    },
    /** Calls `onSeen` with the id of the newest message that is on the screen, from now on. */
    watchSeen(onSeen) {
      observe = watchSeen(onSeen);
      for (const item of lines.querySelectorAll('[data-message]')) observe(item);
    },
    /** Shows the number of unread messages, also on the button of the view. */
    setUnread(count) {
      for (const badge of document.querySelectorAll(`[data-unread="${root.id}"]`)) {
        badge.hidden = count === 0;
        badge.querySelector('b').textContent = count;
      }
    },
    editMessage(id, text) {
      const line = findMessage(id)?.querySelector('.text');
      if (line) line.textContent = text;
    },
    removeMessage: (id) => findMessage(id)?.remove(),
    hasMessage: (id) => findMessage(id) !== null,
    /** Shows an uploaded file in its message. */
    showFile(messageId, file) {
      const item = createFileItem(file);
      findFile(file.id)?.remove();
      findMessage(messageId)?.append(item);
      follow();
    },
    /** Shows the uploaded share of a file, from 0 to 1. */
    setProgress(fileId, share) {
      const progress = findFile(fileId)?.querySelector('progress');
      if (progress) progress.value = share;
    },
    clear: () => lines.replaceChildren(),
  };
  return panel;
}

function connectControls({ root, composer, input, toggle, rename, actions, panel }) {
  const typing = watchTyping(input, (isTyping) => panel.isOnline && actions.type(isTyping));
  composer.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = input.value;
    input.value = '';
    actions.write(text);
    typing.stop();
  });
  toggle.addEventListener('click', () => {
    typing.stop();
    if (root.dataset.state === 'offline') actions.goOnline();
    else actions.goOffline();
  });
  rename.querySelector('form').addEventListener('submit', (event) => {
    event.preventDefault();
    rename.open = false;
    panel.attempt(actions.rename(rename.querySelector('input').value));
  });
  rename.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape') return;
    rename.open = false;
    rename.querySelector('summary').focus();
  });
}

/** `after` is the delay from the other side in milliseconds, if known. */
function createMessageItem({ id, author, isOwn, text, sentAt, after, isMissed, files = [] }) {
  const item = element('li', isOwn ? 'message own' : 'message');
  item.dataset.message = id;
  const about = element('p', 'about');
  about.append(element('b', '', isOwn ? 'You' : author), element('time', '', clock.format(new Date(sentAt))));
  if (after !== undefined) about.append(element('span', 'after', `after ${after} ms`));
  if (isMissed) about.append(element('span', 'after', 'while offline'));
  item.append(about, element('p', 'text', text), ...files.map(createFileItem));
  return item;
}
