import { useQuery } from '@apollo/client/react';
import { useState } from 'react';
import { ConversationView } from './conversation-view.tsx';
import { useConversationEvents, useInboxEvents } from './events.ts';
import { CONVERSATIONS } from './operations.ts';
import type { Conversation } from './operations.ts';

export function Chat() {
  const { data, error } = useQuery(CONVERSATIONS);
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

interface ConversationButtonProps {
  conversation: Conversation;
  isOpen: boolean;
  onOpen: () => void;
}

function ConversationButton({ conversation, isOpen, onOpen }: ConversationButtonProps) {
  const { name, unreadCount } = conversation;
  useConversationEvents(conversation);
  return (
    <button aria-current={isOpen} onClick={onOpen}>
      {name}
      {unreadCount > 0 && (
        <span className="unread" aria-label={`${unreadCount} unread`}>
          {unreadCount}
        </span>
      )}
    </button>
  );
}
