import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startNginxWith } from '../harness/nginx.ts';

const page = readFileSync(new URL('../../docs/operations/proxies.md', import.meta.url), 'utf8');
const ADMIN_TOKEN = 'token-of-operators';

const sample = /```nginx\n(.*?)```/s.exec(page)?.[1] ?? '';

/** Starts nginx with the sample of the page, changed as asked for. */
const startSample = (url: string, change: (text: string) => string = (text) => text) =>
  startNginxWith(
    (port) => `server { listen 127.0.0.1:${port}; ${change(sample).replace('http://127.0.0.1:4000', url)} }`,
  );

describe.skipIf(isMissing('nginx'))('the short sample for nginx', () => {
  test('hides the routes of operators, and passes WebSockets', async () => {
    await using app = await startTestApp({ env: { ADMIN_TOKEN } });
    await using nginx = await startSample(app.url);
    const status = async (path: string) => (await fetch(nginx.url + path)).status;
    for (const path of ['/metrics', '/legacy-report', '/admin', '/admin/graphql', '//metrics'])
      expect([path, await status(path)]).toEqual([path, 404]);
    expect(await status('/%5Cmetrics')).toBe(400);
    expect(await status('/readyz')).toBe(200);
    const { token } = await app.createAccount();
    await using _socket = await openGraphqlSocket(nginx.url, { token });
  });

  test('keeps them closed without the locations that hide them, too', async () => {
    await using app = await startTestApp({ env: { ADMIN_TOKEN } });
    await using nginx = await startSample(app.url, (text) => text.slice(text.indexOf('location / ')));
    for (const path of ['/metrics', '/legacy-report', '/admin/graphql?query={__typename}'])
      expect([path, (await fetch(nginx.url + path)).status]).toEqual([path, 401]);
  });
});
