const READ_STATE = `
  query ReadState($id: ID!) { conversation(id: $id) { unreadCount lastReadMessage { legacyId } } }`;
const MARK_READ = `
  mutation MarkRead($id: ID!, $messageId: ID!) {
    markRead(conversationId: $id, messageId: $messageId) { unreadCount }
  }`;

const RETRY_MS = 1_000;

export const INBOX_EVENTS = `
  subscription InboxEvents($after: Cursor) {
    inboxEvents(after: $after) {
      __typename
      cursor
      ... on ReadStateChanged { messageId conversation { id unreadCount } }
    }
  }`;

/**
 * Counts the unread messages of a conversation, and marks those that the user has seen. The position comes from the events of
 * the account, also when another device moves it; the count from the ids of the messages on the page, as the events of the
 * conversation are another stream. `show` receives the count.
 */
export function createReadState({ id, run, isOnline, show, onError }) {
  /** Ids of the messages of others that the page has. */
  const received = new Set();
  /** Unread messages that the page does not have. */
  let olderCount = 0;
  // Until it is known, nothing counts as unread, and nothing is marked.
  let position = Infinity;
  let [seen, marked] = [0, 0];
  let isMarking = false;

  const countReceived = () => [...received].filter((messageId) => messageId > position).length;
  const showCount = () => show(countReceived() + olderCount);
  const moveTo = (messageId, unreadCount) => {
    position = messageId;
    const hasOlder = received.size === 0 || position < Math.min(...received);
    olderCount = hasOlder ? Math.max(0, unreadCount - countReceived()) : 0;
    showCount();
  };
  const readPosition = () =>
    run(READ_STATE, { id })
      .then(({ conversation }) => {
        moveTo(conversation.lastReadMessage?.legacyId ?? 0, conversation.unreadCount);
        readState.mark();
      })
      .catch((error) => {
        if (!error.isRetryable) onError(error);
        // Offline, it is read once the stream is live again.
        else setTimeout(() => isOnline() && readPosition(), RETRY_MS);
      });

  const readState = {
    addMessage(messageId, isOwn) {
      if (!isOwn) received.add(messageId);
      showCount();
    },
    removeMessage(messageId) {
      received.delete(messageId);
      showCount();
    },
    /** Called with the newest message that is on the screen. */
    onSeen(messageId) {
      seen = Math.max(seen, messageId);
      readState.mark();
    },
    /** Marks what was seen. Call it when the client is online again. */
    mark() {
      const messageId = seen;
      if (isMarking || !isOnline() || messageId <= Math.max(position, marked)) return;
      isMarking = true;
      run(MARK_READ, { id, messageId: `Message:${messageId}` })
        .catch((error) => {
          if (error.isRetryable) return true;
          // A message may be deleted meanwhile.
          if (error.code !== 'NOT_FOUND') onError(error);
        })
        .then((hasFailed) => {
          isMarking = false;
          if (hasFailed) setTimeout(readState.mark, RETRY_MS);
          else {
            marked = messageId;
            readState.mark();
          }
        });
    },
    /** Handles an event of `inboxEvents`. The stream may begin live, so the position is read then. */
    handle({ __typename: name, messageId, conversation }) {
      if (name === 'StreamLive') readPosition();
      if (name === 'ReadStateChanged' && conversation.id === id)
        moveTo(Number(messageId.replace('Message:', '')), conversation.unreadCount);
    },
  };
  return readState;
}
