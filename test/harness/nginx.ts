import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort, waitForPort } from './ports.ts';
import { requireProgram } from './installed-programs.ts';

export interface Proxy extends AsyncDisposable {
  readonly url: string;
}

/** Starts nginx in front of a server, with these directives beside `proxy_pass`. */
export async function startNginx(upstream: string, directives: string): Promise<Proxy> {
  const dir = await mkdtemp(join(tmpdir(), 'parley-nginx-'));
  const port = await findFreePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${dir}/${kind};`,
  );
  const config = `
    daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/error.log;
    events {}
    http {
      access_log off; ${temporary.join(' ')}
      server { listen 127.0.0.1:${port}; location / { proxy_pass ${upstream}; ${directives} } }
    }`;
  await writeFile(join(dir, 'nginx.conf'), config);
  const child = spawn(
    requireProgram('nginx'),
    ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', join(dir, 'error.log')],
    {
      stdio: 'inherit',
    },
  );
  const exited = once(child, 'exit');
  await waitForPort(port);
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await exited;
      await rm(dir, { recursive: true });
    },
  };
}
