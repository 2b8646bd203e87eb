import { createDeliveryLog } from './delivery-log.ts';
import type { DeliveryLog } from './delivery-log.ts';
import type { Random } from './random.ts';
import type { Outcome } from './scenarios.ts';
import { startFixture } from './fixtures.ts';
import { createTestAccounts, requestUntilAvailable, readAll } from './test-accounts.ts';
import type { TestAccounts } from './test-accounts.ts';
import { writeByGraphql, writeBySocket } from './writers.ts';

const SECRETS = 3;
const KICK =
  'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }';
const INVITE =
  'mutation ($id: ID!, $email: String!) { inviteToConversation(conversationId: $id, email: $email) { id } }';

const isSecret = (value: unknown): boolean => JSON.stringify(value).includes('secret');

/**
 * Removes and invites a member repeatedly while others write. Messages sent after the removal was acknowledged must not reach any
 * connection of the member.
 */
export async function runRevocations(writes: number, random: Random): Promise<Outcome> {
  await using stack = new AsyncDisposableStack();
  const { server } = await startFixture('embedded', stack);
  const accounts = await createTestAccounts(server.url);
  const deliveryLog = createDeliveryLog();
  const rounds = Math.ceil(writes / (2 * SECRETS + 4));
  let isOver = false;
  const background = Promise.all(
    [writeByGraphql, writeBySocket].map((write, writer) =>
      write(
        accounts,
        deliveryLog,
        generateBackgroundTexts(writer, () => isOver),
      ),
    ),
  );
  let delivered = 0;
  for (let round = 0; round < rounds; round += 1)
    delivered += await removeMember(accounts, deliveryLog, round, random);
  isOver = true;
  await background;
  const tally = deliveryLog.countFaults(await readAll(accounts));
  return { name: 'members removed', disturbances: rounds, ...tally, delivered };
}

/** Runs one round. Returns the number of frames and events that the member received while it had access. */
async function removeMember(
  accounts: TestAccounts,
  deliveryLog: DeliveryLog,
  round: number,
  random: Random,
): Promise<number> {
  const { ann, bob, conversation } = accounts;
  const target = { id: conversation.id, email: bob.login };
  await using events = await bob.subscribeToConversation(conversation.id);
  await using phone = await bob.connectLegacy();
  await phone.push('join_conversation', { conversation_id: conversation.legacyId });
  await writeByGraphql(accounts, deliveryLog, [`before ${round}`]);

  await requestUntilAvailable(accounts, ann, KICK, target);
  const write = random.pick([writeByGraphql, writeBySocket]);
  await write(
    accounts,
    deliveryLog,
    Array.from({ length: SECRETS }, (_, index) => `secret ${round}.${index}`),
  );
  const [end] = await events.waitForEnd().catch(() => []);
  if (end?.extensions?.['reason'] !== 'KICKED')
    deliveryLog.recordLeak(`the stream of round ${round} did not end`);
  await phone.expect('conversation');
  const received = [...events.pending(), ...phone.pending()];
  for (const secret of received.filter(isSecret)) deliveryLog.recordLeak(JSON.stringify(secret));
  await requestUntilAvailable(accounts, ann, INVITE, target);
  return received.length;
}

function* generateBackgroundTexts(writer: number, isOver: () => boolean): Generator<string> {
  for (let index = 0; !isOver(); index += 1) yield `background ${writer}.${index}`;
}
