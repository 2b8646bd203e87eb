import type { SchemaClient } from './schema-client.ts';

/** Creates a circle of Ann and Bob with a conversation. */
export async function seedConversation(client: SchemaClient) {
  const ann = await client.createUser('Ann');
  const bob = await client.createUser('Bob');
  const { createCircle } = await client.run(ann, 'mutation { createCircle(name: "Family") { id } }');
  const circle: string = createCircle.id;
  const { inviteToCircle } = await client.run(
    ann,
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
    { id: circle, email: bob.email },
  );
  await client.run(bob, 'mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { id } }', {
    id: inviteToCircle.id,
  });
  const { createConversation } = await client.run(
    ann,
    'mutation ($id: ID!, $emails: [String!]) { createConversation(circleId: $id, name: "Talk", emails: $emails) { id } }',
    { id: circle, emails: [bob.email] },
  );
  return { ann, bob, circle, conversation: createConversation.id as string };
}
