import axe from 'axe-core';
import type { Page } from 'playwright-core';

/** Returns the rules of axe that the page violates, with the elements. */
export async function findViolations(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(
    'axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target}`)))',
  );
}
