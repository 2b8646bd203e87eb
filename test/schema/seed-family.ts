import type { World } from './schema-client.ts';

/** Ann and Bob in one circle and one conversation. */
export async function family(world: World) {
  const ann = await world.user('Ann');
  const bob = await world.user('Bob');
  const { createCircle } = await world.run(ann, 'mutation { createCircle(name: "Family") { id } }');
  const circle: string = createCircle.id;
  const { inviteToCircle } = await world.run(
    ann,
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
    { id: circle, email: bob.email },
  );
  await world.run(bob, 'mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { id } }', {
    id: inviteToCircle.id,
  });
  const { createConversation } = await world.run(
    ann,
    'mutation ($id: ID!, $emails: [String!]) { createConversation(circleId: $id, name: "Talk", emails: $emails) { id } }',
    { id: circle, emails: [bob.email] },
  );
  return { ann, bob, circle, conversation: createConversation.id as string };
}
