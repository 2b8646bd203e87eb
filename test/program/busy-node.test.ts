import { expect, test } from 'vitest';
import { createDataFolder } from '../harness/data-folder.ts';
import { CONVERSATION_ID, logIn } from '../harness/demo-server.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import { waitQuietPeriod } from '../harness/waiting.ts';

/** Longer than it takes until a client that does not reply is silent. */
const FROZEN_MS = 14_000;
/** Rounds in which the node pings its clients, and removes participants of calls. */
const ROUNDS_MS = 9_000;

test('a node that did nothing for a while keeps the participants of calls, whose replies it had not read', async () => {
  await using folder = await createDataFolder();
  await using program = startProgram(SERVER_COMMAND, { ...PROGRAM_ENV, DATA_DIR: folder.path, PORT: '0' });
  const url = await waitUntilListening(program.child);
  const token = await logIn(url);
  await using socket = await openGraphqlSocket(url, { token });
  let pings = 0;
  socket.socket.on('ping', () => (pings += 1));
  const run = async (id: string, query: string) => {
    socket.send({ id, type: 'subscribe', payload: { query } });
    const frame = await socket.next((received) => received['id'] === id);
    return (frame['payload'] as { data: Record<string, unknown> }).data;
  };
  const { startCall } = await run(
    'start',
    `mutation { startCall(conversationId: "${CONVERSATION_ID}") { participant { id } } }`,
  );
  await expect.poll(() => pings).toBeGreaterThan(0);
  program.signalGroup('SIGSTOP');
  await waitQuietPeriod(FROZEN_MS);
  program.signalGroup('SIGCONT');
  await waitQuietPeriod(ROUNDS_MS);
  const { participant } = startCall as { participant: unknown };
  expect(await run('calls', '{ calls { participants { id } } }')).toEqual({
    calls: [{ participants: [participant] }],
  });
});
