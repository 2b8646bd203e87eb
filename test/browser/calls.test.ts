import type { Browser, Page } from 'playwright-core';
import { describe, expect, test, vi } from 'vitest';
import { createDevice } from '../../src/testing/index.ts';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { findCodeBlocks, readProjectFile } from '../docs/snippets.ts';
import { joinCall, readCalls, startCall, subscribeToCalls } from '../harness/calls.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startTurnServer } from '../harness/turn-server.ts';
import { openBrowser } from './browser.ts';
import { startCallPage } from './call-page.ts';

const SECRET = 'a secret of the TURN server';
const BROKEN_ANSWER = { type: 'sdp', data: { type: 'answer', sdp: 'v=0' } };
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

/** Waits until the client has decoded this number of videos that came through the TURN server, from a participant. */
async function expectVideo(
  page: Page,
  { videos = 1, from }: { readonly videos?: number; readonly from?: string } = {},
): Promise<void> {
  const connection = from === undefined ? '' : `window.connections["${from}"]`;
  const isDecoded = expect.toSatisfy((frames: number) => frames > 5) as number;
  await vi.waitFor(
    async () =>
      expect(await page.evaluate(`window.readStats(${connection})`)).toEqual({
        frames: Array.from({ length: videos }, () => isDecoded),
        candidates: ['relay', 'relay'],
      }),
    { timeout: 60_000, interval: 250 },
  );
}

/** Plays a client over GraphQL on a page. */
const joinByGraphql = async (
  page: Page,
  app: TestGateway,
  account: TestAccount,
  options: object,
): Promise<void> =>
  page.evaluate(
    (values) =>
      (globalThis as never as { joinByGraphql(values: object): Promise<void> }).joinByGraphql(values),
    { url: app.url, token: account.token, iceServers: await readIceServers(account), ...options },
  );

/** Returns the snippet of docs/calls.md, with which a client calls the account. */
async function readSnippet(account: TestAccount): Promise<string> {
  const [snippet = ''] = findCodeBlocks(await readProjectFile('docs/calls.md'), 'ts');
  expect(snippet).toContain("'User:8'");
  return snippet.replace('User:8', account.id).replace(/^import .*$/gm, '');
}

describe.skipIf(isMissing('chromium', 'turnserver', 'turnutils_stunclient'))(
  'calls through a TURN server',
  { timeout: 120_000 },
  () => {
    test('two GraphQL clients connect, one by the snippet of docs/calls.md, and the other one hangs up', async () => {
      await using all = await startAll();
      const { ann, bob, conversation } = await createAnnAndBob(all.app);
      const [caller, callee] = [await startCall(ann, conversation), await startCall(bob, conversation)].map(
        ({ participant }) => participant.id,
      );
      const pages = [
        await openClient(all.browser, all.page.url),
        await openClient(all.browser, all.page.url),
      ] as const;
      await joinByGraphql(pages[0], all.app, ann, {
        snippet: await readSnippet(bob),
        participantId: caller,
        otherParticipantId: callee,
      });
      await joinByGraphql(pages[1], all.app, bob, {
        accountId: ann.id,
        calls: false,
        participantId: callee,
        otherParticipantId: caller,
      });
      await expectVideo(pages[0]);
      await expectVideo(pages[1]);
      await pages[1].evaluate('window.call.hangUp()');
      await pages[0].waitForFunction('window.connection.signalingState === "closed"');
      expect(await pages[1].evaluate('window.errors')).toEqual([]);
    });

    test('two GraphQL clients that both send an offer at the same time connect, and add video after an answer that fails', async () => {
      await using all = await startAll();
      const { ann, bob, conversation } = await createAnnAndBob(all.app);
      const accounts = [ann, bob] as const;
      const ids = [await startCall(ann, conversation), await startCall(bob, conversation)].map(
        ({ participant }) => participant.id,
      );
      const pages = [
        await openClient(all.browser, all.page.url),
        await openClient(all.browser, all.page.url),
      ] as const;
      const onBoth = (script: string) => Promise.all(pages.map((page) => page.evaluate(script)));
      const waitForOffer = (page: Page) =>
        page.waitForFunction('window.connection?.signalingState === "have-local-offer"');
      const expectRollback = async () => {
        const states = await onBoth('window.signalingStates.splice(0)');
        // The smaller participant id is the polite one.
        expect(states[0]).toContain('have-remote-offer');
        expect(states[1]).not.toContain('have-remote-offer');
      };
      // Bob receives the call of Ann, and sends an offer. Ann receives his call, sends an offer, and receives his.
      await pages[1].evaluate('window.held = []');
      for (const [index, page] of pages.entries())
        await joinByGraphql(page, all.app, accounts[index] ?? ann, {
          accountId: accounts[1 - index]?.id,
          calls: true,
          participantId: ids[index],
          otherParticipantId: ids[1 - index],
        });
      await waitForOffer(pages[1]);
      await pages[1].evaluate('window.sendHeld()');
      for (const page of pages) await expectVideo(page);
      await expectRollback();

      await onBoth('window.held = []');
      await onBoth('window.addMedia()');
      for (const page of pages) await waitForOffer(page);
      await ann.graphql.run(
        'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }',
        { to: { userId: bob.id }, content: { message: BROKEN_ANSWER, from: ids[0], to: ids[1] } },
      );
      await pages[1].waitForFunction('window.errors.length === 1');
      await onBoth('window.sendHeld()');
      for (const page of pages) await expectVideo(page, { videos: 2 });
      await expectRollback();
      expect(await onBoth('window.errors')).toEqual([[], [expect.any(String)]]);
    });

    test.for([
      { name: 'the other one answers', calls: false },
      { name: 'the other one calls, too', calls: true },
    ])('a client whose call arrives before it receives signals: $name', async ({ calls }) => {
      await using all = await startAll();
      const { ann, bob, conversation } = await createAnnAndBob(all.app);
      const pages = [
        await openClient(all.browser, all.page.url),
        await openClient(all.browser, all.page.url),
      ] as const;
      const accounts = [ann, bob] as const;
      const ids: string[] = [];
      for (const account of accounts) ids.push((await startCall(account, conversation)).participant.id);
      await pages[0].evaluate('window.heldStreams = []');
      for (const [index, page] of pages.entries())
        await joinByGraphql(page, all.app, accounts[index] ?? ann, {
          accountId: accounts[1 - index]?.id,
          calls: index === 0 || calls,
          participantId: ids[index],
          otherParticipantId: ids[1 - index],
        });
      // Its greeting, and what it sends for the call of the other one.
      await pages[1].waitForFunction('window.unreachableCount > 2');
      await pages[0].evaluate('window.openHeldStreams()');
      for (const page of pages) await expectVideo(page);
      for (const page of pages) expect(await page.evaluate('window.errors')).toEqual([]);
    });

    test.for<[string, readonly ('ann' | 'bob' | 'device')[]]>([
      ['two users and a device', ['ann', 'bob', 'device']],
      ['two devices of one account and another account', ['ann', 'ann', 'bob']],
    ])('three participants are connected with each other: %s', async ([, names]) => {
      await using all = await startAll();
      const { ann, bob, circle, conversation } = await createAnnAndBob(all.app);
      const device = await createDevice(all.app, ann, circle);
      await ann.graphql.run(
        `mutation { setDeviceAccess(conversationId: "${conversation.id}", allowed: true) { id } }`,
      );
      const clients = [];
      for (const name of names) {
        const account = { ann, bob, device }[name];
        const { id } = (await startCall(account, conversation)).participant;
        const page = await openClient(all.browser, all.page.url);
        await page.evaluate(
          (values) => (globalThis as never as { stayInCall(values: object): void }).stayInCall(values),
          { url: all.app.url, token: account.token, conversationId: conversation.id, participantId: id },
        );
        clients.push({ account, id, page });
      }
      for (const [index, { account, id, page }] of clients.entries())
        for (const [otherIndex, other] of clients.entries())
          if (otherIndex !== index)
            await joinByGraphql(page, all.app, account, {
              accountId: other.account.id,
              // The one who was there first sends the offer.
              calls: index < otherIndex,
              participantId: id,
              otherParticipantId: other.id,
            });
      for (const { id, page } of clients)
        for (const other of clients) if (other.id !== id) await expectVideo(page, { from: other.id });
      const ids = clients.map(({ id }) => id);
      expect((await readCalls(ann, conversation))[0]?.participants.map(({ id }) => id)).toEqual(ids);
      for (const { page } of clients) expect(await page.evaluate('window.errors')).toEqual([]);
      // The last one is killed.
      await using events = await subscribeToCalls(ann, conversation);
      await clients.at(-1)?.page.context().close();
      expect(await events.nextOf('CallParticipantLeft')).toMatchObject({
        reason: 'DISCONNECTED',
        participant: { id: ids.at(-1) },
      });
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
        const joinNew = () =>
          joinByGraphql(pages[0], all.app, ann, { accountId: bob.id, calls: graphqlCalls });
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
