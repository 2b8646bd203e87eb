import { useMutation } from '@apollo/client/react';
import { useEffect } from 'react';
import { MARK_READ, SEND_MESSAGE } from './operations.ts';
import type { Conversation, Message } from './operations.ts';
import { usePageVisibility } from './visibility.ts';

export function ConversationView({ conversation }: { conversation: Conversation }) {
  const { id, unreadCount, messages } = conversation;
  const [sendMessage, sending] = useMutation(SEND_MESSAGE);
  const [markRead, marking] = useMutation(MARK_READ);
  const error = sending.error ?? marking.error;
  const isVisible = usePageVisibility();
  const messageId = messages.nodes.at(-1)?.id;

  useEffect(() => {
    if (isVisible && unreadCount > 0 && messageId !== undefined)
      void markRead({ variables: { id, messageId } });
  }, [id, isVisible, unreadCount, messageId, markRead]);

  function send(form: FormData) {
    // With the key, a repeated request sends nothing twice.
    const variables = { id, text: form.get('text') as string, key: crypto.randomUUID() };
    void sendMessage({ variables });
  }

  return (
    <main>
      <ol aria-label="Messages">
        {messages.nodes.map((message) => (
          <li key={message.id}>
            <strong>{nameOf(message)}</strong> {message.text}
          </li>
        ))}
      </ol>
      <form action={send}>
        <input name="text" aria-label="Message" autoComplete="off" required />
        <button>Send</button>
        {error && <p role="alert">{error.message}</p>}
      </form>
    </main>
  );
}

function nameOf({ author }: Message): string {
  if (author === null) return 'Deleted account';
  return 'firstName' in author ? author.firstName : author.name;
}
