import { element, followEnd } from '../element.js';

const MAX_FRAMES = 60;
const MAX_TEXT = 6_000;
const SECRETS = new Set(['token', 'authorization', 'password']);
const JWT = /eyJ[\w-]+\.[\w-]+\.[\w-]+/g;
const JSON_TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi;

/** Creates the list of raw frames of one side, newest last, at most MAX_FRAMES. Returns the function that adds one. */
export function createFrames(root) {
  root.append(document.getElementById('frames-template').content.cloneNode(true));
  const list = root.querySelector('ol');
  const count = root.querySelector('.count');
  list.ariaLabel = root.ariaLabel;
  const follow = followEnd(list);
  let total = 0;

  /**
   * Adds a frame. `direction` is `sent` or `received`, `label` a channel or a frame type, `summary` the value shown on the
   * collapsed line.
   */
  return function add(direction, label, value, summary = value) {
    total += 1;
    list.append(createFrameItem({ direction, label, value, summary }));
    while (list.children.length > MAX_FRAMES) list.firstElementChild.remove();
    count.textContent = total > MAX_FRAMES ? `last ${MAX_FRAMES} of ${total} frames` : `${total} frames`;
    follow();
  };
}

function createFrameItem({ direction, label, value, summary }) {
  const details = element('details', direction);
  const line = element('summary');
  const text = summary === undefined ? '' : toMaskedJson(summary);
  line.append(
    element('span', 'unseen', `${direction}: `),
    element('time', '', new Date(Date.now()).toTimeString().slice(0, 8)),
    element('b', 'label', label),
    element('code', 'short', text.slice(0, 400)),
  );
  details.append(line);
  const open = () => {
    details.append(formatJson(value));
    details.scrollIntoView({ block: 'nearest' });
  };
  details.addEventListener('toggle', open, { once: true });
  const item = element('li');
  item.append(details);
  return item;
}

/** Serialises to JSON with tokens and passwords masked: screens are shared. */
function toMaskedJson(value, indent) {
  const masked = JSON.stringify(
    value,
    (key, field) => (SECRETS.has(key) && typeof field === 'string' ? '•••' : field),
    indent,
  );
  return masked.replace(JWT, '•••');
}

function formatJson(value) {
  const all = value === undefined ? 'no payload' : toMaskedJson(value, 2);
  const text = all.length > MAX_TEXT ? `${all.slice(0, MAX_TEXT)} … ${all.length - MAX_TEXT} more` : all;
  const pre = element('pre');
  let end = 0;
  for (const match of text.matchAll(JSON_TOKEN)) {
    const kind = match[2] ? 'key' : match[1] ? 'string' : 'atom';
    pre.append(text.slice(end, match.index), element('span', kind, match[1] ?? match[0]), match[2] ?? '');
    end = match.index + match[0].length;
  }
  pre.append(text.slice(end));
  return pre;
}
