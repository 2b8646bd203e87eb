import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import type { TestAccount } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';

interface Mail {
  readonly to: string;
  readonly text: string;
}

/** Starts a webhook; `next` returns the mails in the order in which they arrive. */
async function startWebhook() {
  const server = createServer();
  const queue = new ReadableStream<Mail>({
    start(controller) {
      server.on('request', (request, response) => {
        void json(request).then((mail) => controller.enqueue(mail as Mail));
        response.writeHead(204).end();
      });
    },
  });
  const reader = queue.getReader();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async next(): Promise<Mail> {
      const { value } = await reader.read();
      if (value === undefined) throw new Error('The webhook is closed.');
      return value;
    },
    [Symbol.dispose]: () => void server.close(),
  };
}

const CREATE = 'mutation { createCircle(name: "Family") { id } }';
const INVITE =
  'mutation ($c: ID!, $e: String!) { inviteToCircle(circleId: $c, email: $e) { id email user { id } } }';
const VERIFY =
  'mutation ($token: String!) { verifyEmail(token: $token) { emailVerification { isVerified } } }';
const STATE = '{ me { ... on User { emailVerification { isRequired isVerified } } } }';

const verify = async (account: TestAccount, { text }: Mail): Promise<void> => {
  const token = /https:\/\/app\.example\/verify#(\S+)/.exec(text)?.[1];
  expect(await account.graphql.run(VERIFY, { token })).toEqual({
    verifyEmail: { emailVerification: { isVerified: true } },
  });
};

test('accounts verify their e-mails by the link of a mail, and then receive the invitations', async () => {
  using webhook = await startWebhook();
  await using app = await startTestApp({
    env: { MAIL_URL: webhook.url, MAIL_LINK: 'https://app.example/verify#{token}' },
  });
  const ann = await app.createAccount();
  const annMail = await webhook.next();
  const bob = await app.createAccount();
  const bobMail = await webhook.next();
  expect([annMail.to, bobMail.to]).toEqual([ann.login, bob.login]);
  expect(await ann.graphql.run(STATE)).toEqual({
    me: { emailVerification: { isRequired: true, isVerified: false } },
  });
  const inbox = await bob.subscribeToInbox();
  const { createCircle } = await ann.graphql.run<{ createCircle: { id: string } }>(CREATE);
  const { inviteToCircle } = await ann.graphql.run<{ inviteToCircle: { id: string } }>(INVITE, {
    c: createCircle.id,
    e: bob.login,
  });
  expect(inviteToCircle).toMatchObject({ email: bob.login, user: null });
  await verify(ann, annMail);
  await verify(bob, bobMail);
  expect(await inbox.nextOf('CircleInvited')).toMatchObject({ invitation: { id: inviteToCircle.id } });
  await expect(bob.graphql.run(VERIFY, { token: 'wrong' })).rejects.toThrow('The token is wrong');
});
