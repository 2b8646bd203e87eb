import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
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
import { SHELL_PATH, startProgram, waitForOutput } from '../harness/program.ts';
import { addressesOf } from './cluster.ts';
import { countingServer } from './counting-server.ts';
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

describe.skipIf(isMissing('curl'))('check-nodes.sh', { timeout: 60_000 }, () => {
  test('marks a node that accepts no connections, and not one that is slow to respond', async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await createFolder(stack);
    const ready = stack.use(await countingServer());
    const slow = createServer(() => undefined).listen(0, '127.0.0.1');
    stack.defer(() => slow.close().closeAllConnections());
    await once(slow, 'listening');
    const silent = await startSilentNode(stack);
    const line = (port: number, name: string, mark = ''): string =>
      `  server 127.0.0.1:${port} max_fails=0${mark}; # ${name}\n`;
    const slowLine = line((slow.address() as AddressInfo).port, 'slow');
    const readyLine = line(ready.port, 'ready');
    const conf = join(folder, 'parley.conf');
    await writeFile(conf, slowLine + line(silent, 'silent') + readyLine);
    await writeFile(join(folder, 'nginx'), '#!/bin/sh\n', { mode: 0o755 });
    stack.use(
      startProgram(['sh', join(DEPLOY, 'nginx', 'check-nodes.sh'), conf], {
        PATH: `${folder}:${SHELL_PATH}`,
      }),
    );
    await expect
      .poll(() => readFile(conf, 'utf8'), { timeout: 30_000 })
      .toBe(slowLine + line(silent, 'silent', ' down') + readyLine);
  });
});

/** Starts a process that is as silent as a machine without power: its queue of new connections is full. Returns its port. */
async function startSilentNode(stack: AsyncDisposableStack): Promise<number> {
  const script = `const server = require('node:net').createServer().listen(0, '127.0.0.1', 1, () => {
    require('node:fs').writeSync(1, 'port ' + server.address().port + ' ');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;
  const program = stack.use(startProgram([process.execPath, '--eval', script], {}));
  const port = Number((await waitForOutput(program.child, /port (\d+) /))[1]);
  const sockets = [1, 2, 3].map(() => connect(port, '127.0.0.1').on('error', () => undefined));
  stack.defer(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.slice(0, 2).map((socket) => once(socket, 'connect')));
  return port;
}

async function createFolder(stack: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-nginx-sample-'));
  stack.defer(() => rm(folder, { recursive: true }));
  return folder;
}
