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

export interface Nginx extends Proxy {
  /** Options of the program with which it uses this server's configuration. */
  readonly options: readonly string[];
  /** Applies other directives, or the same files again, to new requests. Those in flight, and WebSockets, keep the former ones. */
  reload(directivesOf?: (port: number) => string): Promise<void>;
}

/** Starts nginx in front of a server, with these directives beside `proxy_pass`. */
export const startNginx = (upstream: string, directives: string): Promise<Proxy> =>
  startNginxWith(
    (port) => `server { listen 127.0.0.1:${port}; location / { proxy_pass ${upstream}; ${directives} } }`,
  );

/** Starts nginx with the directives of its `http` block, which listen on the port. */
export async function startNginxWith(directivesOf: (port: number) => string): Promise<Nginx> {
  const dir = await mkdtemp(join(tmpdir(), 'parley-nginx-'));
  const port = await findFreePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${dir}/${kind};`,
  );
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const configure = (text: string): Promise<void> =>
    writeFile(
      join(dir, 'nginx.conf'),
      `
    daemon off; ${user} worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log;
    worker_rlimit_nofile 16384;
    events { worker_connections 16000; }
    http {
      access_log off; ${temporary.join(' ')}
      ${text}
    }`,
    );
  await configure(directivesOf(port));
  const options = ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', join(dir, 'error.log')];
  const child = spawn(requireProgram('nginx'), options, { stdio: 'inherit' });
  const exited = once(child, 'exit');
  await waitForPort(port);
  return {
    url: `http://127.0.0.1:${port}`,
    options,
    async reload(newDirectivesOf = directivesOf) {
      await configure(newDirectivesOf(port));
      child.kill('SIGHUP');
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await exited;
      await rm(dir, { recursive: true });
    },
  };
}
