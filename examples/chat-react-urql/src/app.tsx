import { useState } from 'react';
import { Provider } from 'urql';
import type { Client } from 'urql';
import { Chat } from './chat.tsx';
import { createUrqlClient } from './client.ts';
import { Login } from './login.tsx';

export function App() {
  const [client, setClient] = useState<Client>();
  if (client === undefined) return <Login onLogin={(token) => setClient(createUrqlClient(token))} />;
  return (
    <Provider value={client}>
      <Chat />
    </Provider>
  );
}
