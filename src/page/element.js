/** Creates an element with text content. User input enters the page through this function only, so it is never parsed as HTML. */
export function element(name, className = '', text = '') {
  const created = document.createElement(name);
  created.className = className;
  created.textContent = text;
  return created;
}

/**
 * Keeps a scroll box at its end, unless the user has scrolled up. Returns a function to call after content was added.
 */
export function followEnd(box) {
  let isAtEnd = true;
  const follow = () => {
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  };
  box.addEventListener('scroll', () => {
    isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  });
  new ResizeObserver(follow).observe(box);
  return follow;
}
