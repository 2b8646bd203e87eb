import { expect, test, describe } from 'vitest';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { PNG, readMediaUrl, sendFile } from '../harness/media.ts';
import { BROWSER_TIMEOUT, openBrowser } from './browser.ts';

const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"><style>rect{fill:red}</style><rect width="7" height="5"/><script>document.title="run"</script></svg>';

/** Serves a page of another origin that shows the images. */
async function servePage(urls: readonly string[]) {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(
      `<!doctype html>${urls.map((url) => `<img src="${url}">`).join('')}<a href="${urls[0]}&download">save</a>`,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The width of each image; 0 if it could not be loaded. */
async function readWidths(page: Page, url: string): Promise<number[]> {
  await page.goto(url);
  return page.evaluate(() => [...document.images].map(({ naturalWidth }) => naturalWidth));
}

describe.skipIf(isMissing('chromium'))('media in a page of another origin', BROWSER_TIMEOUT, () => {
  test('are shown and saved without headers, and no longer after a kick', async () => {
    await using app = await startTestApp();
    const [ann, bob, carl] = [
      await app.createAccount(),
      await app.createAccount(),
      await app.createAccount(),
    ];
    const conversation = await createConversation(ann, await createCircle(ann, bob, carl), bob, carl);
    const photo = await sendFile(app, ann, conversation, PNG, 'photo.png');
    const drawing = await sendFile(app, ann, conversation, SVG, 'drawing.svg');
    const photoUrl = await readMediaUrl(app, bob, photo.mediaId);
    const drawingUrl = await readMediaUrl(app, bob, drawing.mediaId);
    await using server = await servePage([photoUrl, drawingUrl]);
    await using browser = await openBrowser();
    const page = await browser.newPage();

    expect(await readWidths(page, server.url)).toEqual([1, 7]);
    const saved = page.waitForEvent('download');
    await page.getByText('save').click();
    expect((await saved).suggestedFilename()).toBe('photo.png');
    // Opened as a page, it is saved: its scripts do not run.
    const savedDrawing = page.waitForEvent('download');
    await page.goto(drawingUrl).catch(() => undefined);
    expect((await savedDrawing).suggestedFilename()).toBe('drawing.svg');

    await ann.graphql.run(
      'mutation ($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }',
      { id: conversation.id, email: bob.login },
    );
    expect(await readWidths(page, server.url)).toEqual([0, 0]);
  });
});
