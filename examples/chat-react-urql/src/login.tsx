import { useState } from 'react';
import { graphqlUrl } from './client.ts';

const LOG_IN = `mutation ($email: String!, $password: String!) {
  login(email: $email, password: $password) { token }
}`;

export function Login({ onLogin }: { onLogin: (token: string) => void }) {
  const [problem, setProblem] = useState('');

  async function logIn(form: FormData) {
    const body = JSON.stringify({ query: LOG_IN, variables: Object.fromEntries(form) });
    const headers = { 'content-type': 'application/json' };
    try {
      const response = await fetch(graphqlUrl, { method: 'POST', headers, body });
      const { data, errors } = await response.json();
      if (errors) setProblem(errors[0].message);
      else onLogin(data.login.token);
    } catch {
      setProblem(`No answer from ${graphqlUrl}. Is Parley running?`);
    }
  }

  return (
    <form className="login" action={logIn}>
      <label>
        E-mail
        <input name="email" type="email" defaultValue="ann@example.com" required />
      </label>
      <label>
        Password
        <input name="password" type="password" defaultValue="parley" required />
      </label>
      <button>Log in</button>
      {problem && <p role="alert">{problem}</p>}
    </form>
  );
}
