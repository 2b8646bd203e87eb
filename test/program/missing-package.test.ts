import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createDataFolder } from '../harness/data-folder.ts';
import {
  PROGRAM_ENV,
  ROOT,
  SERVER_COMMAND,
  startProgram,
  waitForOutput,
  waitUntilListening,
} from '../harness/program.ts';

/** Copies the server, with the packages of this one except for the native parts of sharp. */
async function copyServer(path: string): Promise<void> {
  await cp(join(ROOT, 'src'), join(path, 'src'), { recursive: true, verbatimSymlinks: true });
  await cp(join(ROOT, 'package.json'), join(path, 'package.json'));
  const [from, to] = [join(ROOT, 'node_modules'), join(path, 'node_modules')];
  await mkdir(to);
  for (const name of await readdir(from))
    if (name === 'sharp') await cp(join(from, name), join(to, name), { recursive: true });
    else if (name !== '@img') await symlink(join(from, name), join(to, name));
  await mkdir(join(to, '@img'));
  await symlink(join(from, '@img', 'colour'), join(to, '@img', 'colour'));
}

test('a server without the native part of sharp names it, and serves without previews', async () => {
  await using folder = await createDataFolder();
  const { path } = folder;
  await copyServer(path);
  const env = { ...PROGRAM_ENV, PORT: '0', DATA_DIR: path, DEMO: 'off' };
  await using server = startProgram(SERVER_COMMAND, env, path);
  const warned = waitForOutput(server.child, /^\{.*"reason":"(.*)","msg":"a package is missing: .*$/m);
  const url = await waitUntilListening(server.child);
  expect((await warned)[1]).toContain('sharp');
  expect((await fetch(new URL('/readyz', url))).status).toBe(200);
  server.child.kill('SIGTERM');
  expect(await server.exited).toEqual([0, null]);
});
