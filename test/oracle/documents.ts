/** A snapshot of a conversation and its circle, with the cursors to subscribe after. */
export const SNAPSHOT = /* GraphQL */ `
  query Snapshot($circle: ID!, $conversation: ID!) {
    circle(id: $circle) {
      eventCursor
      name
      members(first: 100) {
        nodes {
          role
          user {
            email
          }
        }
      }
      device {
        name
      }
    }
    conversation(id: $conversation) {
      eventCursor
      name
      deviceAccess
      participants(first: 100) {
        nodes {
          role
          user {
            email
          }
        }
      }
      messages(last: 100) {
        nodes {
          id
          text
          status
        }
      }
    }
  }
`;

export const CONVERSATION_EVENTS = /* GraphQL */ `
  subscription ConversationEvents($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent {
        message {
          ...MessageFields
        }
      }
      ... on MessageUpdated {
        message {
          ...MessageFields
        }
      }
      ... on MediaUploaded {
        message {
          ...MessageFields
        }
      }
      ... on MessageDeleted {
        messageId
      }
      ... on ConversationUpdated {
        conversation {
          name
        }
      }
      ... on DeviceAccessChanged {
        allowed
      }
      ... on ParticipantJoined {
        user {
          email
        }
      }
      ... on ParticipantLeft {
        user {
          email
        }
      }
      ... on ParticipantKicked {
        user {
          email
        }
      }
      ... on ParticipantPromoted {
        user {
          email
        }
      }
    }
  }
  fragment MessageFields on Message {
    id
    text
    status
  }
`;

export const CIRCLE_EVENTS = /* GraphQL */ `
  subscription CircleEvents($id: ID!, $after: Cursor) {
    circleEvents(circleId: $id, after: $after) {
      __typename
      cursor
      ... on CircleUpdated {
        circle {
          name
        }
      }
      ... on MemberJoined {
        user {
          email
        }
      }
      ... on MemberLeft {
        user {
          email
        }
      }
      ... on MemberKicked {
        user {
          email
        }
      }
      ... on DeviceAdded {
        device {
          name
        }
      }
      ... on DeviceUpdated {
        device {
          name
        }
      }
      ... on DeviceRemoved {
        device {
          name
        }
      }
    }
  }
`;
