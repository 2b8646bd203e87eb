import { element, followEnd } from './element.js';

const MAX_FRAMES = 60;
const MAX_TEXT = 6_000;
const SECRETS = new Set(['token', 'authorization', 'password']);
const JWT = /eyJ[\w-]+\.[\w-]+\.[\w-]+/g;
const JSON_TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi;

/** The raw frames of one side. The newest is last; only so many are kept. */
export function createFrames(root) {
  root.append(document.getElementById('frames-template').content.cloneNode(true));
  const list = root.querySelector('ol');
  const count = root.querySelector('.count');
  list.ariaLabel = root.ariaLabel;
  const follow = followEnd(list);
  let total = 0;

  /** `direction` is `sent` or `received`; the label is a channel or the type of a frame; the gist, what its line shows. */
  return function add(direction, label, value, gist = value) {
    total += 1;
    list.append(frameItem({ direction, label, value, gist }));
    while (list.children.length > MAX_FRAMES) list.firstElementChild.remove();
    count.textContent = total > MAX_FRAMES ? `the last ${MAX_FRAMES} of ${total} frames` : `${total} frames`;
    follow();
  };
}

function frameItem({ direction, label, value, gist }) {
  const details = element('details', direction);
  const summary = element('summary');
  const text = gist === undefined ? '' : readable(gist);
  summary.append(
    element('span', 'unseen', `${direction}: `),
    element('time', '', new Date(Date.now()).toTimeString().slice(0, 8)),
    element('b', 'label', label),
    element('code', 'short', text.slice(0, 400)),
  );
  details.append(summary);
  const open = () => {
    details.append(pretty(value));
    details.scrollIntoView({ block: 'nearest' });
  };
  details.addEventListener('toggle', open, { once: true });
  const item = element('li');
  item.append(details);
  return item;
}

/** JSON without what would let a reader of the screen log in. */
function readable(value, indent) {
  const masked = JSON.stringify(
    value,
    (key, field) => (SECRETS.has(key) && typeof field === 'string' ? '•••' : field),
    indent,
  );
  return masked.replace(JWT, '•••');
}

function pretty(value) {
  const all = value === undefined ? 'no payload' : readable(value, 2);
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
