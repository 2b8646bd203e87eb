import { ApolloProvider } from '@apollo/client/react';
import { useState } from 'react';
import type { ApolloClient } from '@apollo/client';
import { Chat } from './chat.tsx';
import { createApolloClient } from './client.ts';
import { Login } from './login.tsx';

export function App() {
  const [client, setClient] = useState<ApolloClient>();
  if (client === undefined) return <Login onLogin={(token) => setClient(createApolloClient(token))} />;
  return (
    <ApolloProvider client={client}>
      <Chat />
    </ApolloProvider>
  );
}
