import { createDeliveryLog, isSecret, secretText } from './delivery-log.ts';
import type { DeliveryLog } from './delivery-log.ts';
import type { Random } from './random.ts';
import type { Outcome } from './scenarios.ts';
import { startFixture } from './fixtures.ts';
import { createTestAccounts, requestUntilAvailable, readAllMessages } from './test-accounts.ts';
import type { TestAccounts } from './test-accounts.ts';
import { writeByGraphql, writeByLegacyClient } from './writers.ts';

/** Messages sent in each round after the removal. */
const SECRETS_PER_ROUND = 3;
export const KICK =
  'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }';
const INVITE =
  'mutation ($id: ID!, $email: String!) { inviteToConversation(conversationId: $id, email: $email) { id } }';

/**
 * Removes and invites a member repeatedly while others write. Messages that are sent after the removal is acknowledged must
 * not reach any connection of the member.
 */
export async function runRevocations(writes: number, random: Random): Promise<Outcome> {
  await using stack = new AsyncDisposableStack();
  const { server } = await startFixture('embedded', stack);
  const accounts = await createTestAccounts(server.url);
  const deliveryLog = createDeliveryLog();
  const rounds = Math.ceil(writes / (2 * SECRETS_PER_ROUND + 4));
  let isDone = false;
  const backgroundWriters = Promise.all(
    [writeByGraphql, writeByLegacyClient].map((write, writer) =>
      write(
        accounts,
        deliveryLog,
        generateBackgroundTexts(writer, () => isDone),
      ),
    ),
  );
  let delivered = 0;
  for (let round = 0; round < rounds; round += 1)
    delivered += await runRound(accounts, deliveryLog, round, random);
  isDone = true;
  await backgroundWriters;
  const counts = deliveryLog.countFaults(await readAllMessages(accounts));
  return { name: 'members removed', injectedFaults: rounds, ...counts, delivered };
}

/** Removes the member, sends secrets, and invites it again. Returns the number of frames and events that it received. */
async function runRound(
  accounts: TestAccounts,
  deliveryLog: DeliveryLog,
  round: number,
  random: Random,
): Promise<number> {
  const { ann, bob, conversation } = accounts;
  const target = { id: conversation.id, email: bob.login };
  await using events = await bob.subscribeToConversation(conversation.id);
  await using legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  await writeByGraphql(accounts, deliveryLog, [`before ${round}`]);

  await requestUntilAvailable(accounts, ann, KICK, target);
  const write = random.pick([writeByGraphql, writeByLegacyClient]);
  await write(
    accounts,
    deliveryLog,
    Array.from({ length: SECRETS_PER_ROUND }, (_, index) => secretText(`${round}.${index}`)),
  );
  const [end] = await events.waitForEnd().catch(() => []);
  if (end?.extensions?.['reason'] !== 'KICKED')
    deliveryLog.recordLeak(`the stream of round ${round} did not end`);
  await legacyClient.expect('conversation');
  const received = [...events.pending(), ...legacyClient.pending()];
  for (const secret of received.filter(isSecret)) deliveryLog.recordLeak(JSON.stringify(secret));
  await requestUntilAvailable(accounts, ann, INVITE, target);
  return received.length;
}

function* generateBackgroundTexts(writer: number, isDone: () => boolean): Generator<string> {
  for (let index = 0; !isDone(); index += 1) yield `background ${writer}.${index}`;
}
