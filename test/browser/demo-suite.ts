import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe } from 'vitest';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { BROWSER_TIMEOUT, openBrowser } from './browser.ts';
import type { Tab, TabOptions } from './browser.ts';
import { openDemo } from './demo-page.ts';

/** For calls with a camera that Chromium plays, and allows without a prompt. */
export const FAKE_CAMERA = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];

/** Chromium and a gateway with demo accounts, which the tests of a file share. */
export interface DemoSuite {
  readonly browser: Browser;
  readonly gateway: TestGateway;
  /** Opens the page and waits until both of its clients are connected. */
  open(options?: TabOptions): Promise<Tab>;
}

/** Describes tests on the page. They are skipped without Chromium. */
export function describeDemo(
  name: string,
  flags: readonly string[],
  define: (demo: DemoSuite) => void,
): void {
  describe.skipIf(isMissing('chromium'))(name, BROWSER_TIMEOUT, () => {
    let [browser, gateway]: [Browser?, TestGateway?] = [];
    beforeAll(async () => {
      [browser, gateway] = await Promise.all([openBrowser(flags), startTestApp({ demo: true })]);
    });
    afterAll(async () => {
      await browser?.close();
      await gateway?.[Symbol.asyncDispose]();
    });
    const demo: DemoSuite = {
      get browser() {
        return started(browser);
      },
      get gateway() {
        return started(gateway);
      },
      open: (options) => openDemo(demo.browser, demo.gateway.url, options),
    };
    define(demo);
  });
}

function started<Resource>(resource: Resource | undefined): Resource {
  if (resource === undefined) throw new Error('Only tests may use the suite.');
  return resource;
}
