import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { requireProgram } from './installed-programs.ts';
import type { Proxy } from './nginx.ts';
import { findFreePort, waitForPort } from './ports.ts';

export interface Caddy extends Proxy {
  /** Its home, with its certificates. */
  readonly home: string;
  /** Applies its configuration again, as the unit of Debian does. */
  reload(): Promise<void>;
}

/** Starts Caddy with a Caddyfile whose site address is the variable SITE_ADDRESS. Over TLS it issues a certificate for it. */
export async function startCaddy(caddyfile: string, origin = 'http://127.0.0.1'): Promise<Caddy> {
  const home = await mkdtemp(join(tmpdir(), 'parley-caddy-'));
  const port = await findFreePort();
  const url = `${origin}:${port}`;
  const file = join(home, 'Caddyfile');
  const options = [
    `admin unix/${join(home, 'admin.sock')}`,
    'default_bind 127.0.0.1',
    'skip_install_trust',
    'auto_https disable_redirects',
  ];
  await writeFile(file, `{\n${options.map((option) => `\t${option}\n`).join('')}}\n${caddyfile}`);
  const program = requireProgram('caddy');
  const env = { SITE_ADDRESS: url, HOME: home };
  const configuration = ['--adapter', 'caddyfile', '--config', file];
  const child = spawn(program, ['run', ...configuration], { env, stdio: 'ignore' });
  const exited = once(child, 'exit');
  await waitForPort(port);
  return {
    url,
    home,
    async reload() {
      await promisify(execFile)(program, ['reload', '--force', ...configuration], { env });
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
      await rm(home, { recursive: true });
    },
  };
}
