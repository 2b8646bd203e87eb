import { logIn } from './conversation-picker.js';

const DEMO = {
  legacy: { email: 'bob@example.com', password: 'parley' },
  graphql: { email: 'ann@example.com', password: 'parley' },
};
const byId = (id) => document.getElementById(id);

/** Logs both sides in. `onFrame` receives the frames of GraphQL. */
export const logInBoth = (onFrame) => Promise.all([logInSide('legacy'), logInSide('graphql', onFrame)]);

/** Logs a side in: with its demo account, or without it by a form. */
export async function logInSide(side, onFrame) {
  try {
    return await logIn(DEMO[side], onFrame);
  } catch (error) {
    if (error.code !== 'UNAUTHENTICATED') throw error;
  }
  const form = byId(`${side}-login`);
  const showForms = (isShown) => {
    byId('logins').hidden = !isShown;
    byId('demo').hidden = isShown;
  };
  showForms(true);
  const account = await logInWithForm(form, onFrame);
  form.dataset.isDone = true;
  if (document.querySelector('#logins form:not([hidden], [data-is-done])') === null) showForms(false);
  return account;
}

function logInWithForm(form, onFrame) {
  form.append(byId('login-template').content.cloneNode(true));
  form.querySelector('h3').textContent = form.ariaLabel;
  form.hidden = false;
  return new Promise((resolve) => {
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      try {
        resolve(await logIn(Object.fromEntries(new FormData(form)), onFrame));
        form.replaceChildren('Logged in.');
      } catch (error) {
        form.querySelector('.refusal').textContent = error.message;
      }
    });
  });
}
