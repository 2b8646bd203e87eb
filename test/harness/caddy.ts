import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireProgram } from './installed-programs.ts';
import type { Proxy } from './nginx.ts';
import { findFreePort, waitForPort } from './ports.ts';

/** Starts Caddy with a Caddyfile whose site address is the variable SITE_ADDRESS. */
export async function startCaddy(caddyfile: string): Promise<Proxy> {
  const dir = await mkdtemp(join(tmpdir(), 'parley-caddy-'));
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const file = join(dir, 'Caddyfile');
  await writeFile(file, `{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\n${caddyfile}`);
  const child = spawn(requireProgram('caddy'), ['run', '--adapter', 'caddyfile', '--config', file], {
    env: { SITE_ADDRESS: url, HOME: dir },
    stdio: 'ignore',
  });
  const exited = once(child, 'exit');
  await waitForPort(port);
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
      await rm(dir, { recursive: true });
    },
  };
}
