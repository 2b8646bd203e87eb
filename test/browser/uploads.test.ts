import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { findCodeBlocks, readProjectFile } from '../docs/snippets.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { createContent, createFolder, openLossyProxy, startFixture } from '../harness/resumable-uploads.ts';
import { BROWSER_TIMEOUT, openBrowser } from './browser.ts';

const CLIENT = fileURLToPath(import.meta.resolve('tus-js-client/dist/tus.min.js'));

/** Serves an empty page. */
async function servePage() {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe.skipIf(isMissing('chromium'))('a page of another origin', BROWSER_TIMEOUT, () => {
  test('uploads a file by the example of docs/media.md, over a connection that is lost', async () => {
    const examples = findCodeBlocks(await readProjectFile('docs/media.md'), 'ts');
    const example = examples.find((text) => text.includes('tus-js-client')) ?? '';
    await using folder = await createFolder();
    await using site = await servePage();
    await using fixture = await startFixture({ env: { MEDIA_DIR: folder.path, CORS_ORIGINS: site.origin } });
    const { app, ann, mediaId, download } = fixture;
    await using proxy = await openLossyProxy(app.url, folder, 1);
    const content = createContent(3_000_000);
    await using browser = await openBrowser();
    const page = await browser.newPage();
    const offsets: number[] = [];
    page.on('response', (response) => {
      if (response.request().method() === 'HEAD') offsets.push(Number(response.headers()['upload-offset']));
    });
    await page.goto(site.origin);
    await page.addScriptTag({ path: CLIENT });
    const published = page.waitForEvent('console', (message) => message.text() === 'The file is published');
    await page.evaluate(`(async () => {
      const { Upload } = tus;
      const token = ${JSON.stringify(ann.token)};
      const media = { id: ${JSON.stringify(mediaId)} };
      const bytes = Uint8Array.from({ length: ${content.length} }, (_byte, index) => index % 251);
      const file = new File([bytes], 'film.mp4');
      ${example.replace(/^import .*$/m, '').replace('https://chat.example.com', proxy.url)}
    })()`);
    await published;
    expect(offsets).toEqual([expect.any(Number)]);
    expect(offsets[0]).toBeGreaterThanOrEqual(proxy.written[0] ?? Infinity);
    expect((await download()).equals(content)).toBe(true);
  });
});
