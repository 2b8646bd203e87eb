import { expect, test, describe } from 'vitest';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { BROWSER_TIMEOUT, openBrowser, openTab } from './browser.ts';

describe.skipIf(isMissing('chromium'))('the page without demo accounts', BROWSER_TIMEOUT, () => {
  test('shows the reason, and works with two accounts of one conversation', async () => {
    await using gateway = await startTestApp();
    const password = 'correct horse';
    const [legacyAccount, graphqlAccount] = [
      await gateway.createAccount({ password }),
      await gateway.createAccount({ password }),
    ];
    await createConversation(
      graphqlAccount,
      await createCircle(graphqlAccount, legacyAccount),
      legacyAccount,
    );
    await using browser = await openBrowser();
    await using tab = await openTab(browser, `${gateway.url}/`);
    const { page } = tab;

    await page.getByText('This gateway has no demo accounts').waitFor();
    const logIn = async (side: 'legacy' | 'graphql', email: string, secret: string) => {
      const form = page.locator(`#${side}-login`);
      await form.getByLabel('E-mail').fill(email);
      await form.getByLabel('Password').fill(secret);
      await form.getByRole('button').click();
    };
    await logIn('legacy', legacyAccount.login, 'wrong');
    await page.locator('#legacy-login .refusal').filter({ hasText: /\S/ }).waitFor();
    await page.screenshot({ path: 'test/browser/screenshots/logins.png' });
    await logIn('legacy', legacyAccount.login, password);
    await logIn('graphql', graphqlAccount.login, password);
    for (const side of ['legacy', 'graphql']) await page.locator(`#${side}[data-state=online]`).waitFor();
    expect(await page.locator('#logins').isVisible()).toBe(false);
  });
});
