/** Enables each button with `data-needs` while the sides that it names are online. */
export function watchAvailability(sides) {
  const update = () => {
    for (const button of document.querySelectorAll('button[data-needs]')) {
      const needed = button.dataset.needs.split(' ');
      button.disabled = sides.some(({ id, dataset }) => needed.includes(id) && dataset.state !== 'online');
    }
  };
  const observer = new MutationObserver(update);
  for (const side of sides) observer.observe(side, { attributeFilter: ['data-state'] });
  update();
}
