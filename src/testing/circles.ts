import { loginTestDevice } from './account.ts';
import type { TestAccount } from './account.ts';
import type { TestGateway } from './gateway.ts';

/** An object by its id in either API. */
export interface Entity {
  readonly id: string;
  readonly legacyId: number;
}

/** Creates a circle of the owner and adds the members by accepted invitations. */
export async function createCircle(owner: TestAccount, ...members: readonly TestAccount[]): Promise<Entity> {
  const { createCircle: circle } = await owner.graphql.run<{ createCircle: Entity }>(
    'mutation { createCircle(name: "Family") { id legacyId } }',
  );
  for (const member of members) {
    const { inviteToCircle } = await owner.graphql.run<{ inviteToCircle: Entity }>(
      'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
      { id: circle.id, email: member.login },
    );
    await member.graphql.run('mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { id } }', {
      id: inviteToCircle.id,
    });
  }
  return circle;
}

/** Creates a conversation of the owner with members of the circle. */
export async function createConversation(
  owner: TestAccount,
  circle: Entity,
  ...members: readonly TestAccount[]
): Promise<Entity> {
  const { createConversation: conversation } = await owner.graphql.run<{ createConversation: Entity }>(
    'mutation ($id: ID!, $emails: [String!]!) { createConversation(circleId: $id, name: "Talk", emails: $emails) { id legacyId } }',
    { id: circle.id, emails: members.map((member) => member.login) },
  );
  return conversation;
}

/** Adds a device to the circle and logs it in. */
export async function createDevice(
  app: TestGateway,
  owner: TestAccount,
  circle: Entity,
): Promise<TestAccount> {
  const { addDevice } = await owner.graphql.run<{ addDevice: { username: string; password: string } }>(
    'mutation ($id: ID!) { addDevice(circleId: $id, name: "Kitchen") { username password } }',
    { id: circle.id },
  );
  return loginTestDevice(app.url, addDevice.username, addDevice.password);
}
