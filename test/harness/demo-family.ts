import { circleOf, conversationOf } from '../../src/testing/index.ts';
import type { Named, TestAccount, TestGateway } from '../../src/testing/index.ts';

/** Creates Ann and Bob in a circle with one conversation. */
export async function family(app: TestGateway) {
  const ann = await app.account({ email: 'ann@example.com', firstName: 'Ann' });
  const bob = await app.account({ email: 'bob@example.com', firstName: 'Bob' });
  const circle = await circleOf(ann, bob);
  const conversation = await conversationOf(ann, circle, bob);
  return { ann, bob, circle, conversation };
}

export const sendMessage = (
  account: TestAccount,
  conversation: Named,
  text: string,
  files: readonly string[] = [],
) =>
  account.graphql.run<{ sendMessage: { message: Named; media: Named[] } }>(
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
