import { expect, test } from 'vitest';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import type { Entity, TestAccount } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { CALL_EVENTS, readCalls, subscribeToCalls } from '../harness/calls.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import type { GraphqlSocket } from '../harness/graphql-socket.ts';
import { createRandom } from '../harness/random.ts';
import { stagger } from '../harness/waiting.ts';

/** Clients that are killed, or whose network is lost. 1000 take two minutes. */
const KILLS = Number(process.env['CALL_KILLS'] ?? 60);
const SEED = Number(process.env['CALL_SEED'] ?? 16);
const CLIENTS_PER_CALL = 40;
const CONCURRENCY = 40;
/** Longest time between two steps of a client. */
const STEP_MS = 1_500;
/** Such a client has left within this time. */
const MAX_GHOST_MS = 15_000;

const FATES = ['stays', 'is killed', 'loses its network', 'returns', 'leaves'] as const;

interface Plan {
  readonly conversation: Entity;
  readonly account: TestAccount;
  readonly fate: (typeof FATES)[number];
  /** Whether a stream keeps it in the call, and not the connection that joined. */
  readonly hasStream: boolean;
  readonly delays: readonly [number, number];
}

test(
  'of clients that are killed, lose their network, leave, return or stay, exactly those that are connected are in calls',
  { timeout: 300_000 },
  async () => {
    await using app = await startTestApp({ env: { RATE_LIMITS: 'off' } });
    await using sockets = new AsyncDisposableStack();
    const accounts = [await app.createAccount(), await app.createAccount()] as const;
    const circle = await createCircle(...accounts);
    const callCount = Math.ceil((KILLS * 2.5) / CLIENTS_PER_CALL);
    const random = createRandom(SEED);
    const plans: Plan[] = [];
    for (let index = 0; index < callCount; index += 1) {
      const conversation = await createConversation(accounts[0], circle, accounts[1]);
      for (let client = 0; client < CLIENTS_PER_CALL; client += 1)
        plans.push({
          conversation,
          account: accounts[random(2) === 0 ? 0 : 1],
          fate: FATES[client % FATES.length] ?? 'stays',
          hasStream: random(2) === 0,
          delays: [random(STEP_MS), random(STEP_MS)],
        });
    }
    const open = async ({ account }: Plan) =>
      sockets.use(await openGraphqlSocket(app.url, { token: account.token }));

    /** Runs the history of a client. Returns its participant if it is still connected. */
    const run = async (plan: Plan): Promise<string | undefined> => {
      const { conversation, fate, hasStream, delays } = plan;
      const socket = await open(plan);
      const id = await join(socket, conversation);
      if (hasStream) await keep(socket, conversation, id);
      await stagger(delays[0]);
      if (fate === 'stays') return id;
      if (fate === 'leaves')
        return void (await runOperation(socket, `leaveCall(participantId: "${id}") { id }`));
      if (fate === 'loses its network') {
        // Reads nothing from now on, and so does not reply to pings.
        socket.socket.pause();
        return undefined;
      }
      // Opened before, as that may take longer than the grace period on a busy machine.
      const next = fate === 'returns' ? await open(plan) : undefined;
      socket.socket.terminate();
      if (next === undefined) return undefined;
      await stagger(delays[1]);
      await keep(next, conversation, id);
      return id;
    };

    const queue = plans.map((plan) => ({ plan, order: random(1_000_000) })).sort((a, b) => a.order - b.order);
    const connected = new Map<Entity, string[]>();
    const streams = new Map<Entity, Awaited<ReturnType<typeof subscribeToCalls>>>();
    for (const { conversation } of plans)
      if (!streams.has(conversation))
        streams.set(conversation, await subscribeToCalls(accounts[0], conversation));
    await Promise.all(
      Array.from({ length: CONCURRENCY }, async () => {
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
          const { conversation } = next.plan;
          const id = await run(next.plan);
          connected.set(conversation, [
            ...(connected.get(conversation) ?? []),
            ...(id === undefined ? [] : [id]),
          ]);
        }
      }),
    );

    for (const [conversation, ids] of connected) {
      for (let left = ids.length; left < CLIENTS_PER_CALL; left += 1)
        await streams
          .get(conversation)
          ?.next(({ __typename }) => __typename === 'CallParticipantLeft', MAX_GHOST_MS);
      const [call] = await readCalls(accounts[0], conversation);
      expect(call?.participants.map(({ id }) => id).sort()).toEqual(ids.sort());
    }
  },
);

let operations = 0;

/** Runs a mutation, again while the server is too busy for it, as clients do. */
async function runOperation(socket: GraphqlSocket, mutation: string): Promise<unknown> {
  for (;;) {
    const id = `operation ${(operations += 1)}`;
    socket.send({ id, type: 'subscribe', payload: { query: `mutation { result: ${mutation} }` } });
    const frame = await socket.next((received) => received['id'] === id && received['type'] === 'next');
    const payload = frame['payload'] as { errors?: readonly { extensions: { code: string } }[] };
    if (payload.errors?.[0]?.extensions.code === 'UNAVAILABLE') continue;
    expect(payload).toMatchObject({ data: { result: {} } });
    return payload;
  }
}

async function join(socket: GraphqlSocket, { id }: Entity): Promise<string> {
  const payload = await runOperation(
    socket,
    `startCall(conversationId: "${id}", idempotencyKey: "${crypto.randomUUID()}") { participant { id } }`,
  );
  return (payload as { data: { result: { participant: { id: string } } } }).data.result.participant.id;
}

/** Keeps a participant in its call by a stream. */
async function keep(socket: GraphqlSocket, { id }: Entity, participantId: string): Promise<void> {
  const variables = { id, participantId };
  socket.send({ id: 'calls', type: 'subscribe', payload: { query: CALL_EVENTS, variables } });
  await socket.next((frame) => frame['id'] === 'calls');
}
