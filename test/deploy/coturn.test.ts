import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createCertificate } from '../harness/certificate.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { findFreePort } from '../harness/ports.ts';
import { openTurnClient } from '../harness/turn-client.ts';
import { isRelayed, startTurnServer } from '../harness/turn-server.ts';
import type { TurnServer } from '../harness/turn-server.ts';
import { readSample } from './samples.ts';

// coturn with the sample, on other ports, and with 127.0.0.1 as the one peer that is allowed besides.

const SECRETS = ['the first secret', 'the other secret'] as const;
const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);

const DENIED = [
  '0.0.0.1',
  '10.0.0.1',
  '10.255.255.254',
  '100.64.0.1',
  '127.0.0.2',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.254',
  '192.0.0.8',
  '192.168.1.1',
  '198.18.0.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
];
const ALLOWED = [
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.1',
  '100.128.0.1',
  '172.15.0.1',
  '172.32.0.1',
  '223.255.255.1',
];
const DENIED_IPV6 = [
  '::1',
  '::ffff:10.0.0.1',
  '::ffff:127.0.0.1',
  '64:ff9b::a00:1',
  '2001:0:1::1',
  '2001:db8::1',
  '2002:a00:1::1',
  'fc00::1',
  'fd12:3456::1',
  'fe80::1',
  'ff02::1',
];
const ALLOWED_IPV6 = ['2001:4860:4860::8888', '2606:4700::1111', '2a00:1450::1'];

describe.skipIf(isMissing('turnserver', 'turnutils_uclient', 'turnutils_stunclient', 'openssl'))(
  'the coturn sample',
  { timeout: 60_000 },
  () => {
    let turnServer: TurnServer;
    let app: TestGateway;
    let tlsPort: number;
    let certificate: string;
    const resources = new AsyncDisposableStack();
    beforeAll(async () => {
      tlsPort = await findFreePort();
      const folder = await mkdtemp(join(tmpdir(), 'parley-coturn-sample-'));
      resources.defer(() => rm(folder, { recursive: true }));
      const { cert, key } = createCertificate('turn.test');
      certificate = cert;
      await writeFile(join(folder, 'fullchain.pem'), cert);
      await writeFile(join(folder, 'privkey.pem'), key);
      const configuration = readSample('coturn/turnserver.conf', {
        'listening-port=3478\ntls-listening-port=5349\n': `tls-listening-port=${tlsPort}\n`,
        'min-port=49152\nmax-port=65535\n': '',
        '/etc/coturn/certificates': folder,
        'log-file=stdout\n': '',
      });
      const appended = ['realm=turn.test', ...SECRETS.map((secret) => `static-auth-secret=${secret}`)];
      const ofTheTest = ['allowed-peer-ip=127.0.0.1', ...(hasIpv6 ? ['relay-ip=::1'] : [])];
      turnServer = resources.use(
        await startTurnServer([configuration, ...appended, ...ofTheTest].join('\n')),
      );
      app = resources.use(await startTestApp({ env: { TURN_SECRET: SECRETS[0] } }));
    });
    afterAll(() => resources.disposeAsync());

    const credentialsOf = async (gateway: TestGateway) => {
      const ann = await gateway.createAccount();
      const { webrtc } = await ann.graphql.run<{
        webrtc: { credentials: { username: string; password: string } };
      }>('{ webrtc { credentials { username password } } }');
      return webrtc.credentials;
    };

    test('relays for the credentials of Parley, before and after the secret is rotated', async () => {
      const { username, password } = await credentialsOf(app);
      await using _client = await openTurnClient(turnServer.port, username, password);
      await using rotated = await startTestApp({ env: { TURN_SECRET: `${SECRETS[1]},${SECRETS[0]}` } });
      const later = await credentialsOf(rotated);
      expect(await isRelayed(turnServer.port, later.username, later.password)).toBe(true);
      await using forged = await startTestApp({ env: { TURN_SECRET: 'a wrong secret' } });
      const wrong = await credentialsOf(forged);
      await expect(openTurnClient(turnServer.port, wrong.username, wrong.password)).rejects.toThrow('401');
    });

    test('serves TLS 1.2 or newer on its second port', async () => {
      const options = { host: '127.0.0.1', port: tlsPort, servername: 'turn.test', ca: certificate };
      const socket = connect(options);
      await once(socket, 'secureConnect');
      // coturn 4.6 has no TLS 1.3.
      expect(socket.getProtocol()).toMatch(/^TLSv1\.[23]$/);
      socket.destroy();
    });

    test('reaches public addresses only', async () => {
      const { username, password } = await credentialsOf(app);
      await using client = await openTurnClient(turnServer.port, username, password);
      for (const peer of DENIED) expect([peer, await client.permit(peer)]).toEqual([peer, 403]);
      for (const peer of ALLOWED) expect([peer, await client.permit(peer)]).toEqual([peer, 'allowed']);
    });

    test.skipIf(!hasIpv6)('reaches public addresses of IPv6 only', async () => {
      const { username, password } = await credentialsOf(app);
      await using client = await openTurnClient(turnServer.port, username, password, 'ipv6');
      for (const peer of DENIED_IPV6) expect([peer, await client.permit(peer)]).toEqual([peer, 403]);
      for (const peer of ALLOWED_IPV6) expect([peer, await client.permit(peer)]).toEqual([peer, 'allowed']);
    });
  },
);
