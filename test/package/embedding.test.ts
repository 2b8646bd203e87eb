import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { connectLegacy, createGraphqlClient } from '../../src/testing/index.ts';
import { findCodeBlocks, readProjectFile } from '../docs/snippets.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { installPackage } from '../harness/packed-package.ts';
import type { PackageProject } from '../harness/packed-package.ts';
import { findFreePort } from '../harness/ports.ts';
import { PROGRAM_ENV, startProgram, waitForOutput } from '../harness/program.ts';

let project: PackageProject;

beforeAll(async () => {
  project = await installPackage();
});
afterAll(() => project[Symbol.asyncDispose]());

/** Serves the key set of an identity provider, which issues tokens for its users. */
async function startIdentityProvider() {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] });
  const server = createServer((_request, response) => void response.end(keys)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    issueToken: (subject: string, email: string) =>
      new SignJWT({ email, email_verified: true })
        .setProtectedHeader({ alg: 'ES256' })
        .setSubject(subject)
        .setIssuer(url)
        .setAudience('chat')
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(privateKey),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

test('15 lines stand in a server, with an identity provider and a field of their own', async () => {
  const [example = ''] = findCodeBlocks(await readProjectFile('docs/embedding.md'), 'ts');
  const isOfServer = /^$|createServer|^server\.listen/;
  expect(example.split('\n').filter((line) => !isOfServer.test(line)).length).toBeLessThanOrEqual(15);
  await using provider = await startIdentityProvider();
  await using folder = await createDataFolder();
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const program = example.replace('listen(3000)', `listen(${port}, '127.0.0.1', () => console.log('ready'))`);
  await project.write('server.ts', program);
  const env = {
    ...PROGRAM_ENV,
    // Set by many platforms for the server of the host.
    PORT: '80',
    DATA_DIR: folder.path,
    LOG_LEVEL: 'warn',
    AUTH_JWKS_URL: `${provider.url}/keys`,
    AUTH_ISSUER: provider.url,
    AUTH_AUDIENCE: 'chat',
  };
  await using host = startProgram([process.execPath, '--liftoff-only', 'server.ts'], env, project.folder);
  await waitForOutput(host.child, /ready/);

  expect(await (await fetch(`${url}/graph`)).text()).toBe('Your page /graph');
  expect(await (await fetch(`${url}/metrics`)).text()).toBe('Your page /metrics');

  const token = await provider.issueToken('ann', 'ann@example.com');
  await using ann = createGraphqlClient(url, token);
  expect(await ann.run('{ me { ... on User { email avatarUrl(size: 3) } } }')).toEqual({
    me: { email: 'ann@example.com', avatarUrl: 'https://cdn.example.com/1-3.png' },
  });
  const { createCircle } = await ann.run<{ createCircle: { id: string } }>(
    'mutation { createCircle(name: "Home") { id } }',
  );
  await using events = ann.subscribe(
    `subscription { circleEvents(circleId: "${createCircle.id}") { __typename ... on CircleUpdated { circle { name } } } }`,
  );
  await events.nextOf('StreamLive');
  await ann.run(`mutation { updateCircle(circleId: "${createCircle.id}", name: "Away") { id } }`);
  expect(await events.nextOf('CircleUpdated')).toMatchObject({ circle: { name: 'Away' } });
  await using legacyClient = await connectLegacy(url);
  await legacyClient.push('authenticate', { token });

  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  await once(socket, 'open');
  const closed = once(socket, 'close');
  host.child.kill('SIGTERM');
  expect((await closed)[0]).toBe(1012);
  expect(await host.exited).toEqual([0, null]);
  expect(host.printed.stderr).toBe('');
});

test('a host without a key set authenticates tokens by a function, on a server of the gateway', async () => {
  const [, example = ''] = findCodeBlocks(await readProjectFile('docs/embedding.md'), 'ts');
  await project.write(
    'sessions.js',
    `export const findSession = async (token) =>
       token === 'opaque/token=' ? { userId: '7', email: 'bob@example.com', expiresAt: new Date(Date.now() + 60_000) } : undefined;`,
  );
  await project.write(
    'server.mjs',
    `${example.replace('PORT: 4001', "PORT: 0, DATA_DIR: 'memory', LOG_LEVEL: 'silent'")}
     console.log('at ' + gateway.url);
     process.once('SIGTERM', () => gateway.close());`,
  );
  await using host = startProgram(
    [process.execPath, '--liftoff-only', 'server.mjs'],
    PROGRAM_ENV,
    project.folder,
  );
  const [, url = ''] = await waitForOutput(host.child, /at (\S+)/);
  await using bob = createGraphqlClient(url, 'opaque/token=');
  expect(await bob.run('{ me { ... on User { email } } }')).toEqual({ me: { email: 'bob@example.com' } });
  await using stranger = createGraphqlClient(url, 'other');
  expect(await stranger.expectError('{ me { __typename } }')).toBe('UNAUTHENTICATED');
  host.child.kill('SIGTERM');
  expect(await host.exited).toEqual([0, null]);
});
