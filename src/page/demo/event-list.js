import { element, followEnd } from '../element.js';

const MAX_EVENTS = 200;
const ARRIVAL_MS = 700;

/** Shows the log: the newest MAX_EVENTS events in order, coloured by the side that caused them. */
export function createEventList(list) {
  const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');
  const follow = followEnd(list);
  return {
    /** Adds an event. `sender` is `legacy`, `graphql`, or empty when unknown; `detail` is shown beside the name. */
    addEvent(name, sender = '', detail = '') {
      const item = element('li', sender);
      item.append(element('b', '', name), element('span', '', detail));
      list.append(item);
      if (!reducedMotion.matches)
        item.animate({ background: ['var(--wash, var(--line))', 'transparent'] }, ARRIVAL_MS);
      while (list.children.length > MAX_EVENTS) list.firstElementChild.remove();
      follow();
    },
  };
}
