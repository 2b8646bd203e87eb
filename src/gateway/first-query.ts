/** What GraphiQL shows first: steps that show the system at work when run one after the other. */
export const FIRST_QUERY = `# Welcome to Parley. On a first start without configuration there are two demo accounts:
#   ann@example.com and bob@example.com, password "parley".
#
# 1. Run LogIn. Put its token into the Headers tab below: { "Authorization": "Bearer …" }
# 2. Run FirstScreen: your circles, their conversations and the last messages.
# 3. Run Live with the conversation's id and its eventCursor, then Say in a second tab:
#    the subscription shows the message, and so does every Socket.IO client in the conversation.

mutation LogIn {
  login(email: "ann@example.com", password: "parley") {
    token
    user {
      id
      firstName
    }
  }
}

query FirstScreen {
  circles(first: 10) {
    nodes {
      id
      name
      eventCursor
      conversations(first: 10) {
        nodes {
          id
          name
          eventCursor
          messages(last: 20) {
            nodes {
              id
              text
              sentAt
              author {
                ... on User {
                  firstName
                  isOnline
                }
                ... on Device {
                  name
                }
              }
            }
          }
        }
      }
    }
  }
}

subscription Live($conversation: ID = "Conversation:1", $after: Cursor) {
  conversationEvents(conversationId: $conversation, after: $after) {
    __typename
    cursor
    at
    ... on MessageSent {
      message {
        text
      }
    }
  }
}

mutation Say {
  sendMessage(conversationId: "Conversation:1", text: "Hello from GraphiQL") {
    message {
      id
      text
    }
  }
}
`;
