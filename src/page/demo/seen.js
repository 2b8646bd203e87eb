/**
 * Calls `onSeen` with the id of the newest message that is on the screen: in a view that is shown, at this place of the log, in
 * a visible tab. Returns the function that adds the element of a message.
 */
export function watchSeen(onSeen) {
  const onScreen = new Set();
  const report = () => {
    if (document.visibilityState === 'visible' && onScreen.size > 0) onSeen(Math.max(...onScreen));
  };
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const id = Number(target.dataset.message);
      if (isIntersecting) onScreen.add(id);
      else onScreen.delete(id);
    }
    report();
  });
  document.addEventListener('visibilitychange', report);
  return (item) => observer.observe(item);
}
