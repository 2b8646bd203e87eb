/** Connects the buttons that show the code of an action, an example that can be copied. */
export function connectCode(dialog) {
  const [title, text] = [dialog.querySelector('h2'), dialog.querySelector('pre')];
  const show = async (name) => {
    const examples = await (await fetch('/page/demo/examples.json')).json();
    title.textContent = examples[name].path;
    text.textContent = examples[name].text;
    dialog.showModal();
    text.scrollTop = 0;
  };
  for (const button of document.querySelectorAll('[data-code]'))
    button.addEventListener('click', () => void show(button.dataset.code));
}
