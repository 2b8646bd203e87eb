import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createDataFolder } from '../harness/data-folder.ts';
import { PROGRAM_ENV, waitUntilListening } from '../harness/program.ts';

const SECRET = 'a-secret-in-a-url';

test('the log contains no tokens of URLs or headers', { timeout: 60_000 }, async () => {
  await using folder = await createDataFolder();
  const child = spawn(process.execPath, ['src/main.cjs'], {
    env: { ...PROGRAM_ENV, DATA_DIR: folder.path, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'debug' },
  });
  let output = '';
  const collect = (chunk: Buffer) => void (output += chunk.toString());
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const url = await waitUntilListening(child);
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
  await expect.poll(() => output, { timeout: 10_000 }).toContain('"msg":"connection closed"');
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
  expect(output).not.toContain(SECRET);
});
