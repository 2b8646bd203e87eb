import { useEffect, useState } from 'react';
import { useQuery, useSubscription } from 'urql';
import type { CombinedError } from 'urql';
import { ConversationView } from './conversation-view.tsx';
import { CONVERSATION_EVENTS, CONVERSATIONS, INBOX_EVENTS } from './operations.ts';
import type { Conversation } from './operations.ts';

export function Chat() {
  const [{ data, error }] = useQuery({ query: CONVERSATIONS });
  const [openId, setOpenId] = useState<string>();
  useInboxEvents();
  if (error) return <p role="alert">{error.message} Reload the page to log in again.</p>;
  if (!data) return <p>Loading…</p>;
  const conversations = data.circles.nodes.flatMap((circle) => circle.conversations.nodes);
  const open = conversations.find(({ id }) => id === openId);
  return (
    <div className="chat">
      <nav aria-label="Conversations">
        {conversations.map((conversation) => (
          <ConversationButton
            key={conversation.id}
            conversation={conversation}
            isOpen={conversation === open}
            onOpen={() => setOpenId(conversation.id)}
          />
        ))}
      </nav>
      {open && <ConversationView key={open.id} conversation={open} />}
    </div>
  );
}

/** Receives what the account reads on other devices, and the conversations to which it is added. The cache applies both. */
function useInboxEvents(): void {
  const [{ error }, start] = useSubscription({ query: INBOX_EVENTS });
  // The log was trimmed past the cursor, or restored: begins again, with StreamLive.
  useEffect(() => {
    if (isExpired(error)) start();
  }, [error, start]);
}

function isExpired(error: CombinedError | undefined): boolean {
  const code = error?.graphQLErrors[0]?.extensions.code;
  return code === 'CURSOR_EXPIRED' || code === 'CURSOR_INVALID';
}

interface ConversationButtonProps {
  conversation: Conversation;
  isOpen: boolean;
  onOpen: () => void;
}

function ConversationButton({ conversation, isOpen, onOpen }: ConversationButtonProps) {
  const { id, name, unreadCount, eventCursor } = conversation;
  // Starts where the newest query ended, because its result replaces what later events have added. From there on, parley/client
  // resumes: each event arrives once and in order.
  const [{ error }] = useSubscription({ query: CONVERSATION_EVENTS, variables: { id, after: eventCursor } });
  return (
    <button aria-current={isOpen} onClick={onOpen}>
      {name}
      {error && ' (ended)'}
      {unreadCount > 0 && (
        <span className="unread" aria-label={`${unreadCount} unread`}>
          {unreadCount}
        </span>
      )}
    </button>
  );
}
