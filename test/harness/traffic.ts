import { openGraphqlSocket } from './graphql-socket.ts';
import { createAnnAndBob, sendMessage } from './ann-and-bob.ts';
import type { TestGateway } from '../../src/testing/index.ts';

/** Uses every transport of a gateway: operations that succeed and fail, a delivery, and connections that end. */
export async function produceTraffic(
  app: Pick<TestGateway, 'url' | 'createAccount' | 'connectLegacy'>,
): Promise<void> {
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using events = await bob.subscribeToConversation(conversation.id);
  const legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  await sendMessage(ann, conversation, 'hello');
  await events.next();
  await legacyClient.push('message', { conversation_id: conversation.legacyId, text: 'hello', files: [] });
  await events.next();
  await fetch(`${app.url}/unknown`);
  await fetch(`${app.url}/graphql?query={unknown}`);
  await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      query: 'mutation { login(email: "a@example.com", password: "wrong") { token } }',
    }),
  });
  await using idle = await app.connectLegacy();
  idle.close();
  await using socket = await openGraphqlSocket(app.url);
  socket.send('no frame');
  await socket.waitForClose();
}
