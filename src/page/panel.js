import { element, followEnd } from './element.js';
import { showTyping, watchTyping } from './typing.js';

const MAX_LINES = 100;
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/** The view of one side. It knows nothing of protocols; what people write enters the page as text only. */
export function createPanel(root, { client, mayRename }) {
  root.append(document.getElementById('side-template').content.cloneNode(true));
  const find = (selector) => root.querySelector(selector);
  const log = find('.log');
  const lines = log.firstElementChild;
  const [composer, away, rename] = [find('.composer'), find('.away'), find('.rename')];
  const input = composer.querySelector('input');
  find('.who').textContent = root.ariaLabel;
  find('.client').textContent = client;
  log.ariaLabel = `Messages, ${root.ariaLabel}`;

  const follow = followEnd(log);
  const add = (line) => {
    lines.append(line);
    while (lines.children.length > MAX_LINES) lines.firstElementChild.remove();
    follow();
  };
  const messageLine = (id) => lines.querySelector(`[data-message="${Number(id)}"] .text`);

  const panel = {
    /** Sets what the buttons do: `send(text)`, `type(isTyping)`, `rename(name)`, `goOffline()`, `goOnline()`. */
    connect: (actions) => connectControls({ root, composer, input, away, rename, actions, panel }),
    /** `state` is one of connecting, online, away, lost, ended. */
    setState(state, words) {
      root.dataset.state = state;
      find('.state').textContent = words;
      const isOnline = state === 'online';
      for (const control of root.querySelectorAll('form :is(input, button)')) control.disabled = !isOnline;
      rename.hidden = !(mayRename && isOnline);
      away.disabled = state === 'ended';
      away.textContent = state === 'away' ? 'Come back' : 'Go offline';
      if (isOnline) return;
      panel.setPresence('');
      panel.setTyping(null);
    },
    /** Other words for being online. */
    describe(words) {
      if (root.dataset.state === 'online') find('.state').textContent = words;
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
    setPresence(words, isOnline = false) {
      find('.presence').textContent = words;
      find('.presence').dataset.online = isOnline;
    },
    setTyping: showTyping(find('.typing')),
    note: (words) => add(element('li', 'note', words)),
    message: (message) => add(messageItem(message)),
    editMessage(id, text) {
      const line = messageLine(id);
      if (line) line.textContent = text;
    },
    removeMessage: (id) => messageLine(id)?.closest('li').remove(),
    clear: () => lines.replaceChildren(),
  };
  return panel;
}

function connectControls({ root, composer, input, away, rename, actions, panel }) {
  const attempt = (action) => action.catch((error) => panel.note(`Refused: ${error.message}`));
  const typing = watchTyping(input, (isTyping) => attempt(actions.type(isTyping)));
  composer.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = input.value;
    input.value = '';
    actions.send(text).catch((error) => {
      panel.note(`Not sent, as far as is known: ${error.message}`);
      // Whoever has gone on writing keeps that.
      if (input.value === '') input.value = text;
    });
    typing.stop();
  });
  away.addEventListener('click', () => {
    typing.stop();
    if (root.dataset.state === 'away') actions.goOnline();
    else actions.goOffline();
  });
  rename.querySelector('form').addEventListener('submit', (event) => {
    event.preventDefault();
    rename.open = false;
    attempt(actions.rename(rename.querySelector('input').value));
  });
  rename.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape') return;
    rename.open = false;
    rename.querySelector('summary').focus();
  });
}

/** `after` is how long it took from the other side, in milliseconds, when this page knows. */
function messageItem({ id, author, isOwn, text, sentAt, after, isMissed }) {
  const item = element('li', isOwn ? 'message own' : 'message');
  item.dataset.message = id;
  const about = element('p', 'about');
  about.append(element('b', '', isOwn ? 'You' : author), element('time', '', clock.format(new Date(sentAt))));
  if (after !== undefined) about.append(element('span', 'after', `after ${after} ms`));
  if (isMissed) about.append(element('span', 'after', 'while away'));
  item.append(about, element('p', 'text', text));
  return item;
}
