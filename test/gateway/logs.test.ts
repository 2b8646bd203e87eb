import { once } from 'node:events';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createDataFolder } from '../harness/data-folder.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';

const SECRET = 'a-secret-in-a-url';

test('the log contains no tokens of URLs or headers', { timeout: 60_000 }, async () => {
  await using folder = await createDataFolder();
  const env = { ...PROGRAM_ENV, DATA_DIR: folder.path, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'debug' };
  await using program = startProgram(SERVER_COMMAND, env);
  const { printed } = program;
  const url = await waitUntilListening(program.child);
  const headers = { authorization: `Bearer ${SECRET}` };
  for (const path of [
    '/graphql?query={me{__typename}}',
    '/media/1?x=1',
    '/nowhere?x=1',
    '/socket.io/?EIO=9&x=1',
  ])
    for (const method of ['GET', 'POST', 'PUT'])
      await fetch(`${url}${path}&access_token=${SECRET}`, { method, headers });
  const socket = new WebSocket(
    `${url.replace('http', 'ws')}/graphql?token=${SECRET}`,
    'graphql-transport-ws',
    { headers },
  );
  await once(socket, 'open');
  const closeEvent = once(socket, 'close');
  socket.send('{"type":"connection_init"}');
  expect((await closeEvent)[0]).toBe(4403);
  await expect.poll(() => printed.stdout, { timeout: 10_000 }).toContain('"msg":"connection closed"');
  program.child.kill('SIGTERM');
  await program.exited;
  expect(printed.stdout + printed.stderr).not.toContain(SECRET);
});
