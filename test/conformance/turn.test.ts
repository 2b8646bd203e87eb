import { describe, expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { isRelayed, startTurnServer } from '../harness/turn-server.ts';

const SECRET = 'a secret of the tests';

describe.skipIf(isMissing('turnserver', 'turnutils_uclient', 'turnutils_stunclient'))(
  'TURN credentials',
  () => {
    test('are accepted by coturn, over either API, and only with the right secret', async () => {
      await using turnServer = await startTurnServer(
        `use-auth-secret\nfingerprint\nno-tls\nno-dtls\nrealm=turn.test\nstatic-auth-secret=${SECRET}`,
      );
      await using app = await startTestApp({
        env: { TURN_SECRET: `${SECRET},an older secret`, TURN_URLS: `turn:127.0.0.1:${turnServer.port}` },
      });
      const ann = await app.createAccount();
      const { webrtc } = await ann.graphql.run<{
        webrtc: { credentials: { username: string; password: string } };
      }>('{ webrtc { credentials { username password } } }');
      const legacyClient = await ann.connectLegacy();
      legacyClient.emit('webrtc_credentials');
      const legacyCredentials = await legacyClient.expect<{ username: string; password: string }>(
        'webrtc_config',
      );
      const { username, password } = webrtc.credentials;
      const results = [
        isRelayed(turnServer.port, username, password),
        isRelayed(turnServer.port, legacyCredentials.username, legacyCredentials.password),
        isRelayed(turnServer.port, username, 'wrong'),
        isRelayed(turnServer.port, `9${username}`, password),
      ];
      expect(await Promise.all(results)).toEqual([true, true, false, false]);
    }, 60_000);
  },
);
