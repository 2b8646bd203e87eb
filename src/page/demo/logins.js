import { logIn } from './conversation-picker.js';

const DEMO = {
  legacy: { email: 'bob@example.com', password: 'parley' },
  graphql: { email: 'ann@example.com', password: 'parley' },
};
const byId = (id) => document.getElementById(id);

/** Logs both sides in: with the demo accounts, or without them by forms. `onFrame` receives the frames of GraphQL. */
export async function logInBoth(onFrame) {
  const accounts = await Promise.all([logInSide('legacy'), logInSide('graphql', onFrame)]);
  byId('logins').hidden = true;
  byId('demo').hidden = false;
  return accounts;
}

async function logInSide(side, onFrame) {
  try {
    return await logIn(DEMO[side], onFrame);
  } catch (error) {
    if (error.code !== 'UNAUTHENTICATED') throw error;
  }
  byId('logins').hidden = false;
  byId('demo').hidden = true;
  return logInWithForm(byId(`${side}-login`), onFrame);
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
