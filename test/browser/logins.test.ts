import { expect, test, describe } from 'vitest';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { PATIENT, openBrowser, openTab } from './browser.ts';

describe.skipIf(isMissing('chromium'))('the page without demo accounts', PATIENT, () => {
  test('says why, and works with two accounts of one conversation', async () => {
    await using gateway = await startTestApp();
    const password = 'correct horse';
    const [old, young] = [
      await gateway.createAccount({ password }),
      await gateway.createAccount({ password }),
    ];
    await createConversation(young, await createCircle(young, old), old);
    await using browser = await openBrowser();
    await using tab = await openTab(browser, `${gateway.url}/`);
    const { page } = tab;

    await page.getByText('This gateway has no demo accounts').waitFor();
    const enter = async (side: 'legacy' | 'graphql', email: string, secret: string) => {
      const form = page.locator(`#${side}-login`);
      await form.getByLabel('E-mail').fill(email);
      await form.getByLabel('Password').fill(secret);
      await form.getByRole('button').click();
    };
    await enter('legacy', old.login, 'wrong');
    await page.locator('#legacy-login .refusal').filter({ hasText: /\S/ }).waitFor();
    await page.screenshot({ path: 'test/browser/screenshots/logins.png' });
    await enter('legacy', old.login, password);
    await enter('graphql', young.login, password);
    for (const side of ['legacy', 'graphql']) await page.locator(`#${side}[data-state=online]`).waitFor();
    expect(await page.locator('#logins').isVisible()).toBe(false);
  });
});
