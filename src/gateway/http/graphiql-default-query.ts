/** The operations that GraphiQL shows at first, a guided tour when run in order. */
export const DEFAULT_QUERY = `# Welcome to Parley. The play button asks which
# of these operations to run.
#
# 1. Log in with a button above. It has one for
#    each demo account, which a first start without
#    configuration makes. Elsewhere run LogIn, and
#    put its token into the Headers tab below:
#    { "Authorization": "Bearer …" }
# 2. FirstScreen: your circles, conversations
#    and newest messages.
# 3. Live: what happens in a conversation. With
#    its eventCursor of FirstScreen as $after it
#    begins exactly where FirstScreen ended.
# 4. Say, Rename and Type, in a second window of
#    the browser. Live shows it, and so does every
#    Socket.IO client in the conversation: the page
#    at / has one.

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
      members(first: 20) {
        nodes {
          role
          user {
            firstName
            email
            isOnline
          }
        }
      }
      conversations(first: 10) {
        nodes {
          id
          name
          eventCursor
          messages(last: 5) {
            nodes {
              text
              sentAt
              author {
                ... on User {
                  firstName
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

subscription Live(
  $conversation: ID! = "Conversation:1"
  $after: Cursor
) {
  conversationEvents(
    conversationId: $conversation
    after: $after
  ) {
    __typename
    cursor
    at
    ... on MessageSent {
      message {
        id
        text
        author {
          ... on User {
            firstName
          }
          ... on Device {
            name
          }
        }
      }
    }
    ... on ConversationUpdated {
      conversation {
        name
      }
    }
  }
}

subscription WhoTypes($conversation: ID! = "Conversation:1") {
  typing(conversationId: $conversation) {
    isTyping
    actor {
      ... on User {
        firstName
      }
      ... on Device {
        name
      }
    }
  }
}

mutation Say($conversation: ID! = "Conversation:1") {
  sendMessage(
    conversationId: $conversation
    text: "Hello from GraphiQL"
  ) {
    message {
      id
      legacyId
    }
  }
}

mutation Rename($conversation: ID! = "Conversation:1") {
  updateConversation(
    conversationId: $conversation
    name: "Renamed in GraphiQL"
  ) {
    name
    updatedAt
  }
}

mutation Type($conversation: ID! = "Conversation:1") {
  setTyping(conversationId: $conversation, isTyping: true)
}

query Call {
  webrtc {
    iceServers {
      urls
      username
      credential
    }
  }
}
`;

/** The variables that GraphiQL shows at first: the conversation of the demo accounts. */
export const DEFAULT_VARIABLES = '{\n  "conversation": "Conversation:1"\n}';

/** The text that GraphiQL shows with `OPERATIONS=persisted`. */
export const PERSISTED_ONLY = `# This server runs persisted operations only
# (OPERATIONS=persisted). A document that is not in
# its list (PERSISTED_OPERATIONS) is refused with
# PERSISTED_QUERY_NOT_IN_LIST, and so is the
# introspection behind the documentation and the
# completion here.
#
# A document of the list runs when its text is
# pasted here. To try others, start a server
# without OPERATIONS=persisted.
`;

/** The operations that the operators' GraphiQL shows first. */
export const OPERATOR_QUERY = `query Nodes {
  nodes {
    id
    isReachable
    degradation
    connections {
      transport
      client
      count
    }
  }
}

query SlowReaders {
  connections(first: 10, orderBy: BEHIND) {
    nodes {
      id
      account
      transport
      client
      behind
      waitingBytes
    }
  }
}

query Account($email: String! = "ann@example.com") {
  accountByEmail(email: $email) {
    id
    isOnline
    connectionCount
    block {
      until
      reason
    }
  }
}

query AuditLog {
  auditLog(first: 20) {
    nodes {
      at
      action
      arguments
      reason
      outcome
    }
  }
}
`;
