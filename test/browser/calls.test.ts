import type { Browser, Page } from 'playwright-core';
import { describe, expect, test, vi } from 'vitest';
import type { TestAccount } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { joinCall, startCall, subscribeToCalls } from '../harness/calls.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startTurnServer } from '../harness/turn-server.ts';
import { openBrowser } from './browser.ts';
import { startCallPage } from './call-page.ts';

const SECRET = 'a secret of the TURN server';
const FLAGS = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];

/** Starts coturn, and a gateway with its address, Chromium and the page. */
async function startAll() {
  await using stack = new AsyncDisposableStack();
  const turn = stack.use(
    await startTurnServer(
      `use-auth-secret\nfingerprint\nno-tls\nno-dtls\nrealm=turn.test\nstatic-auth-secret=${SECRET}`,
    ),
  );
  const app = stack.use(
    await startTestApp({ env: { TURN_SECRET: SECRET, TURN_URLS: `turn:127.0.0.1:${turn.port}` } }),
  );
  const page = stack.use(await startCallPage());
  const browser = stack.use(await openBrowser(FLAGS));
  const owned = stack.move();
  return { app, page, browser, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function openClient(browser: Browser, pageUrl: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(pageUrl);
  await page.waitForFunction('window.isLoaded');
  return page;
}

async function readIceServers(account: TestAccount): Promise<unknown> {
  const { webrtc } = await account.graphql.run<{ webrtc: { iceServers: readonly object[] } }>(
    '{ webrtc { iceServers { urls username credential } } }',
  );
  return webrtc.iceServers.filter((server) => 'credential' in server && server.credential !== null);
}

/** Waits until the client has decoded video that came through the TURN server. */
async function expectVideo(page: Page): Promise<void> {
  await vi.waitFor(
    async () =>
      expect(await page.evaluate('window.readStats()')).toEqual({
        frames: expect.toSatisfy((frames: number) => frames > 5) as number,
        candidates: ['relay', 'relay'],
      }),
    { timeout: 30_000, interval: 250 },
  );
}

describe.skipIf(isMissing('chromium', 'turnserver', 'turnutils_stunclient'))(
  'calls through a TURN server',
  { timeout: 120_000 },
  () => {
    test('two GraphQL clients connect, and one hangs up', async () => {
      await using all = await startAll();
      const { ann, bob, conversation } = await createAnnAndBob(all.app);
      const [caller, callee] = [await startCall(ann, conversation), await startCall(bob, conversation)].map(
        ({ participant }) => participant.id,
      );
      const pages = [
        await openClient(all.browser, all.page.url),
        await openClient(all.browser, all.page.url),
      ] as const;
      const join = async (page: Page, account: TestAccount, options: object) =>
        page.evaluate(
          (values) =>
            (globalThis as never as { joinByGraphql(values: object): Promise<void> }).joinByGraphql(values),
          {
            url: all.app.url,
            token: account.token,
            iceServers: await readIceServers(account),
            ...options,
          },
        );
      await join(pages[0], ann, {
        accountId: bob.id,
        calls: true,
        participantId: caller,
        otherParticipantId: callee,
      });
      await join(pages[1], bob, {
        accountId: ann.id,
        calls: false,
        participantId: callee,
        otherParticipantId: caller,
      });
      await expectVideo(pages[0]);
      await expectVideo(pages[1]);
      await pages[0].evaluate('window.call.hangUp()');
      await pages[1].waitForFunction('window.isOver');
      expect(await pages[1].evaluate('window.errors')).toEqual([]);
    });

    test.for([
      { name: 'GraphQL calls', graphqlCalls: true, losesFirstOffer: false },
      { name: 'socket.io-client 1.3.6 calls', graphqlCalls: false, losesFirstOffer: false },
      { name: 'of the first offer only the candidates arrive', graphqlCalls: false, losesFirstOffer: true },
    ])(
      'a GraphQL client and socket.io-client 1.3.6 connect: $name',
      async ({ graphqlCalls, losesFirstOffer }) => {
        await using all = await startAll();
        const { ann, bob, conversation } = await createAnnAndBob(all.app);
        await using events = await subscribeToCalls(ann, conversation);
        const pages = [
          await openClient(all.browser, all.page.url),
          await openClient(all.browser, all.page.url),
        ] as const;
        const joinLegacy = async () =>
          pages[1].evaluate(
            (values) =>
              (globalThis as never as { joinBySocketIo(values: object): Promise<void> }).joinBySocketIo(
                values,
              ),
            {
              url: all.app.url,
              token: bob.token,
              iceServers: await readIceServers(bob),
              userId: ann.legacyId,
              calls: !graphqlCalls,
              losesFirstOffer,
            },
          );
        const joinNew = async () =>
          pages[0].evaluate(
            (values) =>
              (globalThis as never as { joinByGraphql(values: object): Promise<void> }).joinByGraphql(values),
            {
              url: all.app.url,
              token: ann.token,
              iceServers: await readIceServers(ann),
              accountId: bob.id,
              calls: graphqlCalls,
            },
          );
        if (graphqlCalls) await startCall(ann, conversation);
        await joinLegacy();
        await joinNew();
        await expectVideo(pages[0]);
        await expectVideo(pages[1]);
        const joined = await events.next(
          ({ __typename, participant }) =>
            __typename === 'CallParticipantJoined' && JSON.stringify(participant).includes(bob.login),
        );
        if (!graphqlCalls) await joinCall(ann, String(joined['callId']));
        await pages[1].evaluate('window.hangUp()');
        await pages[0].waitForFunction('window.isOver');
        expect(await events.nextOf('CallParticipantLeft')).toMatchObject({ reason: 'LEFT' });
        expect(await pages[0].evaluate('window.errors')).toEqual([]);
      },
    );
  },
);
