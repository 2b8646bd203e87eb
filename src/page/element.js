/** An element that holds text. What people wrote enters the page by this way only. */
export function element(name, className = '', text = '') {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Keeps the end of a box in view, unless its reader has scrolled away from there. Call it when there is more. */
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
