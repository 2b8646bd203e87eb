import { element } from '../element.js';

/**
 * Shows items as children of a container. Keeps the elements of items that stay, so that a refresh moves neither the focus
 * nor what is selected or open.
 */
export function showItems(container, items, { keyOf, create, update }) {
  const former = new Map([...container.children].map((child) => [child.dataset.key, child]));
  const kept = new Set(items.map(keyOf));
  for (const [key, child] of former) if (!kept.has(key)) child.remove();
  let next = container.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const child = former.get(key) ?? create(item);
    child.dataset.key = key;
    update(child, item);
    if (child === next) next = next.nextElementSibling;
    else container.insertBefore(child, next);
  }
}

/** Sets a text, unless the element has it. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Prepares a table. A column has a `title`, and shows the text that `text` returns, or what `show` does with the cell; its
 * `className` is `number`, or `long` for texts that wrap. Returns a function that shows rows, or without rows the text `empty`.
 */
export function createTable(table, { columns, keyOf, empty }) {
  const head = element('tr');
  for (const { title, className } of columns) {
    const cell = element('th', className, title);
    cell.scope = 'col';
    head.append(cell);
  }
  const [thead, tbody] = [element('thead'), element('tbody')];
  thead.append(head);
  const note = element('caption', 'empty');
  table.setAttribute('aria-labelledby', table.closest('section').getAttribute('aria-labelledby'));
  table.replaceChildren(note, thead, tbody);

  const create = () => {
    const row = element('tr');
    for (const { className } of columns) row.append(element('td', className));
    return row;
  };
  const update = (row, item) => {
    columns.forEach(({ text, show }, index) => {
      const cell = row.children[index];
      if (show === undefined) setText(cell, text(item));
      else show(cell, item);
    });
  };
  return (items) => {
    setText(note, items.length === 0 ? empty : '');
    thead.hidden = items.length === 0;
    showItems(tbody, items, { keyOf, create, update });
  };
}

/** Shows facts in a list of terms, in order; leaves out those without a text. */
export function showFacts(list, facts) {
  const known = Object.entries(facts).filter(([, text]) => text !== undefined && text !== null);
  showItems(list, known, {
    keyOf: ([term]) => term,
    create: ([term]) => {
      const fact = element('div');
      fact.append(element('dt', '', term), element('dd'));
      return fact;
    },
    update: (fact, [, text]) => setText(fact.lastElementChild, text),
  });
}

/** Puts a button into a cell or a list of actions, once. The action is called with the newest item. */
export function showButton(container, label, { item, isDanger = false, act }) {
  const known = [...container.querySelectorAll(':scope > button')].find(
    (button) => button.dataset.action === label,
  );
  const button = known ?? element('button', isDanger ? 'danger small' : 'quiet small', label);
  if (known === undefined) {
    button.type = 'button';
    button.dataset.action = label;
    container.append(button);
  }
  button.onclick = () => act(item);
}
