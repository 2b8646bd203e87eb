import { loginTestDevice } from './account.ts';
import type { TestAccount } from './account.ts';
import type { TestGateway } from './gateway.ts';

/** An entity as both doors name it. */
export interface Named {
  readonly id: string;
  readonly legacyId: number;
}

/** A circle of the owner, with members who accepted their invitations. */
export async function circleOf(owner: TestAccount, ...members: readonly TestAccount[]): Promise<Named> {
  const { createCircle } = await owner.graphql.run<{ createCircle: Named }>(
    'mutation { createCircle(name: "Family") { id legacyId } }',
  );
  for (const member of members) {
    const { inviteToCircle } = await owner.graphql.run<{ inviteToCircle: Named }>(
      'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
      { id: createCircle.id, email: member.login },
    );
    await member.graphql.run('mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { id } }', {
      id: inviteToCircle.id,
    });
  }
  return createCircle;
}

/** A conversation of the owner with members of the circle. */
export async function conversationOf(
  owner: TestAccount,
  circle: Named,
  ...others: readonly TestAccount[]
): Promise<Named> {
  const { createConversation } = await owner.graphql.run<{ createConversation: Named }>(
    'mutation ($id: ID!, $emails: [String!]!) { createConversation(circleId: $id, name: "Talk", emails: $emails) { id legacyId } }',
    { id: circle.id, emails: others.map((other) => other.login) },
  );
  return createConversation;
}

/** The circle's device, logged in. */
export async function deviceOf(app: TestGateway, owner: TestAccount, circle: Named): Promise<TestAccount> {
  const { addDevice } = await owner.graphql.run<{ addDevice: { username: string; password: string } }>(
    'mutation ($id: ID!) { addDevice(circleId: $id, name: "Kitchen") { username password } }',
    { id: circle.id },
  );
  return loginTestDevice(app.url, addDevice.username, addDevice.password);
}
