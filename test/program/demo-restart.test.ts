import { expect, test } from 'vitest';
import { createDataFolder } from '../harness/data-folder.ts';
import { logIn, sendMessage } from '../harness/demo-server.ts';
import {
  PROGRAM_ENV,
  SERVER_COMMAND,
  startProgram,
  waitForOutput,
  waitUntilListening,
} from '../harness/program.ts';

const restart = (url: string) =>
  fetch(`${url}/demo/restart`, { method: 'POST', headers: { 'x-parley-preflight': '1' } });

test('the demo restarts on its port, and a session and the data survive', { timeout: 60_000 }, async () => {
  await using folder = await createDataFolder();
  await using program = startProgram(SERVER_COMMAND, { ...PROGRAM_ENV, DATA_DIR: folder.path, PORT: '0' });
  const url = await waitUntilListening(program.child);
  const token = await logIn(url);
  const restarted = waitForOutput(program.child, /"msg":"restarted by the demo"/);
  expect(await restart(url)).toMatchObject({ status: 202 });
  await restarted;
  await sendMessage(url, token, 'after the restart');
  program.child.kill('SIGTERM');
  expect(await program.exited).toEqual([0, null]);
});

test('a signal during a restart of the demo stops the program', { timeout: 60_000 }, async () => {
  await using folder = await createDataFolder();
  await using program = startProgram(SERVER_COMMAND, { ...PROGRAM_ENV, DATA_DIR: folder.path, PORT: '0' });
  const url = await waitUntilListening(program.child);
  await restart(url);
  program.child.kill('SIGTERM');
  expect(await program.exited).toEqual([0, null]);
});
