import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startTestApp } from '../harness/app.ts';
import { createCertificate } from '../harness/certificate.ts';
import { isMissing, requireProgram } from '../harness/installed-programs.ts';
import { startNginxWith } from '../harness/nginx.ts';
import { findFreePort } from '../harness/ports.ts';
import { addressesOf } from './cluster.ts';
import { DEPLOY, readSample } from './samples.ts';

describe.skipIf(isMissing('nginx', 'openssl'))('the nginx samples', { timeout: 60_000 }, () => {
  test('are valid together', async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await createFolder(stack);
    await writeFile(
      join(folder, 'nginx.conf'),
      readSample('nginx/nginx.conf', { '/tmp/': `${folder}/`, '/dev/stdout': `${folder}/access.log` }),
    );
    await writeFile(join(folder, 'mime.types'), 'types { text/html html; }');
    await mkdir(join(folder, 'conf.d'));
    await cp(join(DEPLOY, 'nginx', 'parley.conf'), join(folder, 'conf.d', 'default.conf'));
    const { stderr, status } = spawnSync(
      requireProgram('nginx'),
      ['-t', '-q', '-p', folder, '-c', join(folder, 'nginx.conf')],
      { encoding: 'utf8' },
    );
    expect([stderr, status]).toEqual(['', 0]);
  });

  test('serve over TLS, and redirect plain requests without making a POST a GET', async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await createFolder(stack);
    const { cert, key } = createCertificate('localhost');
    await writeFile(join(folder, 'fullchain.pem'), cert);
    await writeFile(join(folder, 'privkey.pem'), key);
    const app = stack.use(await startTestApp({ env: { TRUSTED_PROXIES: '127.0.0.1' } }));
    const tlsPort = await findFreePort();
    const tls = readSample('nginx/parley.d/tls.conf.example', {
      'listen 443 ': `listen 127.0.0.1:${tlsPort} `,
      '/etc/nginx/certificates': folder,
    });
    await writeFile(join(folder, 'tls.conf'), tls);
    const appPort = Number(new URL(app.url).port);
    const nginx = stack.use(
      await startNginxWith((port) =>
        readSample('nginx/parley.conf', {
          'listen 80 ': `listen 127.0.0.1:${port} `,
          '/etc/nginx/parley.d/': `${folder}/`,
          ...addressesOf(appPort, appPort),
        }),
      ),
    );

    const redirect = await fetch(`${nginx.url}/graphql?x=1`, { method: 'POST', redirect: 'manual' });
    expect([redirect.status, redirect.headers.get('location')]).toEqual([
      308,
      'https://127.0.0.1/graphql?x=1',
    ]);

    const tlsOptions = { ca: cert, servername: 'localhost' };
    const [response] = (await once(
      get(`https://127.0.0.1:${tlsPort}/healthz`, { ...tlsOptions, agent: false }),
      'response',
    )) as [IncomingMessage];
    await readText(response);
    expect([response.statusCode, response.headers['strict-transport-security']]).toEqual([
      200,
      'max-age=31536000',
    ]);
    const socket = new WebSocket(`wss://127.0.0.1:${tlsPort}/graphql`, 'graphql-transport-ws', tlsOptions);
    await once(socket, 'open');
    socket.send('{"type":"connection_init"}');
    const [message] = (await once(socket, 'message')) as [Buffer];
    expect(message.toString()).toContain('connection_ack');
    socket.terminate();
  });
});

async function createFolder(stack: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-nginx-sample-'));
  stack.defer(() => rm(folder, { recursive: true }));
  return folder;
}
