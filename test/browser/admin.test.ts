import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { BROWSER_TIMEOUT, PHONE, openBrowser, openTab } from './browser.ts';

const ADMIN_TOKEN = 'operators-of-parley-only';
/** As a proxy on the same machine adds it: the operator is elsewhere. */
const FORWARDED = { 'x-forwarded-for': '192.0.2.7' };
const MARKUP = '<img src=x onerror=alert(1)>';
const INBOX = 'subscription Inbox { inboxEvents { __typename } }';

const rowsOf = (page: Page, table: string) => page.locator(`#${table} tbody tr`);

/** Confirms the action of the dialog that is open. */
async function confirm(page: Page, reason: string): Promise<void> {
  await page.locator('#confirm [name=reason]').fill(reason);
  await page.locator('#confirm [name=ok]').click();
  await page.locator('#confirm').waitFor({ state: 'hidden' });
}

/** Lets the page refresh, as it does every few seconds, and waits until it has. */
async function refresh(page: Page): Promise<void> {
  const response = page.waitForResponse(
    (received) => received.request().postData()?.includes('query Connections') === true,
  );
  await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
  await (await response).finished();
}

describe.skipIf(isMissing('chromium'))('the page of operators', BROWSER_TIMEOUT, () => {
  let browser: Browser;
  let gateway: TestGateway;

  beforeAll(async () => {
    [browser, gateway] = await Promise.all([openBrowser(), startTestApp({ env: { ADMIN_TOKEN } })]);
  });
  afterAll(async () => {
    await browser.close();
    await gateway[Symbol.asyncDispose]();
  });

  test('finds a connection, ends it, blocks its account, and shows both in the audit log', async () => {
    const bob = await gateway.createAccount({
      email: 'bob@example.com',
      password: 'correct horse',
      firstName: MARKUP,
    });
    const ann = await gateway.createAccount();
    await using annsInbox = ann.graphql.subscribe(INBOX);
    await annsInbox.nextOf('StreamLive');
    await using inbox = bob.graphql.subscribe(INBOX);
    await inbox.nextOf('StreamLive');
    const legacyClient = await bob.connectLegacy();
    await using tab = await openTab(browser, `${gateway.url}/admin`);
    const { page } = tab;

    await expect.poll(() => rowsOf(page, 'list').count()).toBe(3);
    expect(await page.locator('#overview').textContent()).toMatch(/Nodes1.*Connections3/);
    await page.locator('#filters [name=account]').fill('bob@example.com');
    await page.locator('#filters button').click();
    await expect.poll(() => rowsOf(page, 'list').count()).toBe(2);
    await page.locator('#filters [name=transport]').selectOption('SOCKET_IO');
    await page.locator('#filters button').click();
    await expect.poll(() => rowsOf(page, 'list').count()).toBe(1);
    await rowsOf(page, 'list').getByRole('button', { name: 'End' }).click();
    await confirm(page, `slow ${MARKUP}`);
    await legacyClient.waitForDisconnect();

    await page.locator('#find-account [name=account]').fill('bob@example.com');
    await page.locator('#find-account button').click();
    await page.locator('#account-card').getByText(MARKUP).waitFor();
    await page.locator('#account-card').getByRole('button', { name: 'Block' }).click();
    await page.locator('#confirm [name=until]').fill('2100-01-01T00:00');
    await confirm(page, 'spam');
    await page
      .locator('#account-card')
      .getByText(/^until Jan 1, 2100.*: spam$/)
      .waitFor();
    expect(await inbox.waitForEnd()).toMatchObject([{ extensions: { reason: 'LOGGED_OUT' } }]);
    const login = 'mutation { login(email: "bob@example.com", password: "correct horse") { user { id } } }';
    expect(await gateway.graphql.expectError(login)).toBe('FORBIDDEN');

    await expect
      .poll(() => rowsOf(page, 'audit').allTextContents())
      .toEqual([
        expect.stringMatching(new RegExp(`blockAccountaccountId: ${bob.id}, until: 2100.*spamOK127.0.0.1`)),
        expect.stringMatching(/endConnectionid: .*slow <img src=x onerror=alert\(1\)>OK127.0.0.1/),
      ]);
    await page.locator('#account-card').getByRole('button', { name: 'Unblock' }).click();
    await confirm(page, '');
    expect(await gateway.graphql.run(login)).toEqual({ login: { user: { id: bob.id } } });
    expect(tab.problems).toEqual([]);
  });

  test('keeps the focus, what is open and what is typed when it refreshes', async () => {
    const ann = await gateway.createAccount();
    await using inbox = ann.graphql.subscribe(INBOX);
    await inbox.nextOf('StreamLive');
    await using tab = await openTab(browser, `${gateway.url}/admin`);
    const { page } = tab;
    const row = rowsOf(page, 'list').filter({ hasText: ann.id });
    await row.locator('summary').click();
    await row.getByText(/subscription Inbox/).waitFor();
    await page.locator('#filters [name=topic]').fill('conversation:1');
    await row.getByRole('button', { name: 'End' }).last().focus();
    await page.evaluate('globalThis.focused = document.activeElement');
    const legacyClient = await ann.connectLegacy();
    await refresh(page);
    await expect.poll(() => row.count()).toBe(2);
    expect(await page.evaluate('globalThis.focused === document.activeElement')).toBe(true);
    expect(await row.first().locator('details').getAttribute('open')).toBe('');
    expect(await page.locator('#filters [name=topic]').inputValue()).toBe('conversation:1');
    legacyClient.close();
    await expect
      .poll(async () => {
        await refresh(page);
        return row.count();
      })
      .toBe(1);
    expect(tab.problems).toEqual([]);
  });

  test('shows why a filter is refused, and that there is no such account', async () => {
    await using tab = await openTab(browser, `${gateway.url}/admin`);
    const { page } = tab;
    await page.locator('#filters [name=topic]').fill('nothing');
    await page.locator('#filters button').click();
    await page.locator('#connections-problem').getByText('topic is not of the form').waitFor();
    for (const [text, problem] of [
      ['missing@example.com', 'No account has the e-mail missing@example.com.'],
      ['User:99999', 'There is no account User:99999.'],
      ['Circle:1', 'id is not a global id'],
    ] as const) {
      await page.locator('#find-account [name=account]').fill(text);
      await page.locator('#find-account button').click();
      await page.locator('#account-problem').getByText(problem).waitFor();
    }
  });

  test('asks for the token where it is needed, and keeps it in this tab only', async () => {
    await using tab = await openTab(browser, `${gateway.url}/admin`, {
      prepare: (page) => page.setExtraHTTPHeaders(FORWARDED),
    });
    const { page } = tab;
    await page.locator('#token').fill('not the right token');
    expect(await page.locator('#console').isVisible()).toBe(false);
    await page.locator('#gate button').click();
    await page.getByText('The gateway refuses this token.').waitFor();
    await page.locator('#token').fill(ADMIN_TOKEN);
    await page.locator('#gate button').click();
    await rowsOf(page, 'nodes').first().waitFor();
    await page.reload();
    await rowsOf(page, 'nodes').first().waitFor();
    expect(await page.locator('#gate').isVisible()).toBe(false);
    expect(tab.addresses.filter((address) => address.includes(ADMIN_TOKEN))).toEqual([]);
    await page.locator('#forget').click();
    await page.locator('#token').waitFor();
    expect(await page.evaluate('sessionStorage.length + localStorage.length')).toBe(0);
    expect(tab.problems.filter((problem) => !problem.includes('401'))).toEqual([]);
  });

  test('fits a phone', async () => {
    await using tab = await openTab(browser, `${gateway.url}/admin`, PHONE);
    await rowsOf(tab.page, 'nodes').first().waitFor();
    expect(await tab.page.evaluate('document.documentElement.scrollWidth')).toBe(PHONE.width);
  });
});
