const LOG_IN =
  'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }';
const DEMO_PASSWORD = 'parley';

/**
 * Fills a bar with a button for each demo account. A click logs in; operations without an `Authorization` header of their own
 * then have the token of that account. It is kept in memory only.
 */
export function createAccountBar(bar, accounts, endpoint) {
  let token;
  const status = bar.querySelector('[role=status]');
  const use = async (email, button) => {
    status.textContent = 'Logging in …';
    try {
      token = await logIn(endpoint, email);
      for (const other of buttons) other.setAttribute('aria-pressed', String(other === button));
      status.textContent = `Operations run as ${email}.`;
    } catch (error) {
      status.textContent = `The login failed: ${error.message}`;
    }
  };
  const buttons = accounts.map((email) => {
    const button = document.createElement('button');
    button.textContent = email;
    button.setAttribute('aria-pressed', 'false');
    button.addEventListener('click', () => void use(email, button));
    return button;
  });
  bar.querySelector('.buttons').replaceChildren(...buttons);
  bar.hidden = accounts.length === 0;
  return { getToken: () => token };
}

async function logIn(endpoint, email) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: LOG_IN, variables: { email, password: DEMO_PASSWORD } }),
  });
  const { data, errors } = await response.json();
  if (errors !== undefined) throw new Error(errors[0].message);
  return data.login.token;
}
