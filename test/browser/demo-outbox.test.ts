import { expect, test } from 'vitest';
import { openTab } from './browser.ts';
import { describeDemo } from './demo-suite.ts';

/** Runs an outbox whose first send fails after the client was online again. Resolves with what it sent. */
const RUN = /* JavaScript */ `
  import('/page/demo/outbox.js').then(({ createOutbox }) => new Promise((resolve) => {
    let fail;
    const sent = [];
    const outbox = createOutbox({
      send({ text, key }) {
        sent.push({ text, key });
        return sent.length > 1 ? Promise.resolve() : new Promise((_, reject) => (fail = reject));
      },
      isOnline: () => true,
      onChange: (texts) => texts.length === 0 && resolve(sent),
      onRefused() {},
    });
    outbox.add('one');
    outbox.add('two');
    outbox.flush();
    fail(Object.assign(new Error('lost'), { isRetryable: true }));
  }))`;

describeDemo('the outbox of the page', [], (demo) => {
  test('sends again what fails after the client was online again, in order and with the same key', async () => {
    await using tab = await openTab(demo.browser, `${demo.gateway.url}/channels`);
    const sent = await tab.page.evaluate<{ text: string; key: string }[]>(RUN);
    expect(sent.map(({ text }) => text)).toEqual(['one', 'one', 'two']);
    expect(sent[0]?.key).toBe(sent[1]?.key);
    expect(sent[0]?.key).not.toBe(sent[2]?.key);
  });
});
