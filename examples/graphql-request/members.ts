// Creates a conversation, invites a member of the circle, and kicks them.
import { gql, GraphQLClient } from 'graphql-request';
import { createSession, graphqlUrl } from '../session.ts';

const CREATE = gql`
  mutation CreateConversation($circleId: ID!, $name: String!) {
    createConversation(circleId: $circleId, name: $name, emails: []) {
      id
    }
  }
`;

const INVITE = gql`
  mutation Invite($conversationId: ID!, $email: String!) {
    inviteToConversation(conversationId: $conversationId, email: $email) {
      id
    }
  }
`;

const KICK = gql`
  mutation Kick($conversationId: ID!, $email: String!) {
    kickFromConversation(conversationId: $conversationId, email: $email) {
      id
    }
  }
`;

const headers = { authorization: `Bearer ${await createSession().getToken()}` };
const client = new GraphQLClient(graphqlUrl, { headers });
const email = 'bob@example.com';

const { createConversation } = await client.request<{ createConversation: { id: string } }>(CREATE, {
  circleId: 'Circle:1',
  name: 'Side room',
});
const conversationId = createConversation.id;
await client.request(INVITE, { conversationId, email });
console.log('invited', email);

// Ends the subscriptions of the account to the conversation. A conversation of one participant is deleted.
await client.request(KICK, { conversationId, email });
console.log('kicked', email);
