/** Connects the buttons that choose what a phone shows. A wider page shows all views, and no buttons. */
export function connectViews(demo) {
  const buttons = [...demo.querySelectorAll('.views button')];
  for (const button of buttons) {
    button.addEventListener('click', () => {
      demo.dataset.view = button.dataset.view;
      for (const other of buttons) other.ariaPressed = String(other === button);
    });
  }
}
