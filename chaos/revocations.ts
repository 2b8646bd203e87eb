import { createLedger } from './delivery-log.ts';
import type { Ledger } from './delivery-log.ts';
import type { Random } from './random.ts';
import type { Outcome } from './scenarios.ts';
import { setStage } from './fixtures.ts';
import { createWorld, insist, readAll } from './test-accounts.ts';
import type { World } from './test-accounts.ts';
import { writeByGraphql, writeBySocket } from './writers.ts';

const SECRETS = 3;
const KICK =
  'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }';
const INVITE =
  'mutation ($id: ID!, $email: String!) { inviteToConversation(conversationId: $id, email: $email) { id } }';

const isSecret = (value: unknown): boolean => JSON.stringify(value).includes('secret');

/**
 * Throws a member out, over and over, while others write: what is sent once the removal is acknowledged must reach none
 * of that member's connections.
 */
export async function runRevocations(writes: number, random: Random): Promise<Outcome> {
  await using stack = new AsyncDisposableStack();
  const { server } = await setStage('embedded', stack);
  const world = await createWorld(server.url);
  const ledger = createLedger();
  const rounds = Math.ceil(writes / (2 * SECRETS + 4));
  let isOver = false;
  const noise = Promise.all(
    [writeByGraphql, writeBySocket].map((write, writer) =>
      write(
        world,
        ledger,
        noiseOf(writer, () => isOver),
      ),
    ),
  );
  let delivered = 0;
  for (let round = 0; round < rounds; round += 1) delivered += await throwOut(world, ledger, round, random);
  isOver = true;
  await noise;
  const tally = ledger.tally(await readAll(world));
  return { name: 'members thrown out', disturbances: rounds, ...tally, delivered };
}

/** One round; answers how much the member had heard by right. */
async function throwOut(world: World, ledger: Ledger, round: number, random: Random): Promise<number> {
  const { ann, bob, conversation } = world;
  const target = { id: conversation.id, email: bob.login };
  await using events = await bob.conversationEvents(conversation.id);
  await using phone = await bob.legacy();
  await phone.push('join_conversation', { conversation_id: conversation.legacyId });
  await writeByGraphql(world, ledger, [`before ${round}`]);

  await insist(world, ann, KICK, target);
  const write = random.pick([writeByGraphql, writeBySocket]);
  await write(
    world,
    ledger,
    Array.from({ length: SECRETS }, (_, index) => `secret ${round}.${index}`),
  );
  const [end] = await events.ended().catch(() => []);
  if (end?.extensions?.['reason'] !== 'KICKED') ledger.leak(`the stream of round ${round} did not end`);
  await phone.expect('conversation');
  const heard = [...events.waiting(), ...phone.waiting()];
  for (const secret of heard.filter(isSecret)) ledger.leak(JSON.stringify(secret));
  await insist(world, ann, INVITE, target);
  return heard.length;
}

function* noiseOf(writer: number, isOver: () => boolean): Generator<string> {
  for (let index = 0; !isOver(); index += 1) yield `noise ${writer}.${index}`;
}
