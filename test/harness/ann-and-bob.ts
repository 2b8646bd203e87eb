import { createCircle, createConversation } from '../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';

/** Creates Ann and Bob in a circle with one conversation. */
export async function createAnnAndBob(app: Pick<TestGateway, 'createAccount'>) {
  const ann = await app.createAccount({ email: 'ann@example.com', firstName: 'Ann' });
  const bob = await app.createAccount({ email: 'bob@example.com', firstName: 'Bob' });
  const circle = await createCircle(ann, bob);
  const conversation = await createConversation(ann, circle, bob);
  return { ann, bob, circle, conversation };
}

export const sendMessage = (
  account: TestAccount,
  conversation: Entity,
  text: string,
  files: readonly string[] = [],
) =>
  account.graphql.run<{ sendMessage: { message: Entity; media: Entity[] } }>(
    /* GraphQL */ `
      mutation Send($id: ID!, $text: String!, $files: [String!]) {
        sendMessage(conversationId: $id, text: $text, files: $files) {
          message {
            id
            legacyId
          }
          media {
            id
            legacyId
          }
        }
      }
    `,
    { id: conversation.id, text, files },
  );
