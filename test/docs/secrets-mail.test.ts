import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { createTestAccount } from '../../src/testing/account.ts';
import type { TestAccount } from '../../src/testing/account.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { isMissing } from '../harness/installed-programs.ts';
import type { Server } from '../harness/server.ts';
import { startSmtp } from '../harness/smtp.ts';
import { waitUntil } from '../harness/waiting.ts';
import { readCommands, startDeployment } from './book.ts';
import { openSteps, runBesideLogins } from './rotation.ts';

// Rotates MAIL_URL with the commands of docs/operations/secrets.md, beside pending verifications.

const createAccount = ({ url }: Server): Promise<TestAccount> =>
  createTestAccount(url, createGraphqlClient(url));

async function verify({ url }: Server, { token }: TestAccount, mailed: string): Promise<void> {
  const query =
    'mutation ($token: String!) { verifyEmail(token: $token) { emailVerification { isVerified } } }';
  expect(await createGraphqlClient(url, token).run(query, { token: mailed })).toEqual({
    verifyEmail: { emailVerification: { isVerified: true } },
  });
}

/** A webhook on 127.0.0.1 that accepts the mails whose request has an accepted path and `authorization`. */
async function startWebhook(isAccepted: (path: string, authorization: string) => boolean) {
  const mailed = new Map<string, string>();
  let refusals = 0;
  const server = createServer((request, response) => {
    const { url = '', headers } = request;
    if (!isAccepted(url, headers.authorization ?? '')) {
      refusals += 1;
      response.writeHead(401).end();
      return;
    }
    void json(request).then((mail) => {
      const { to, token } = mail as { to: string; token: string };
      mailed.set(to, token);
      response.writeHead(204).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    mailed,
    refusals: () => refusals,
    [Symbol.asyncDispose]: async () => server.close().closeAllConnections(),
  };
}

describe.skipIf(isMissing('postgresql', 'curl'))('rotation', () => {
  test('the password of the mail server is replaced, and each account can verify its address', async () => {
    await using stack = new AsyncDisposableStack();
    const accepted = new Set(['first']);
    const smtp = stack.use(await startSmtp({ isAccepted: (_user, password) => accepted.has(password) }));
    const { nodes, run } = await startDeployment(stack, {
      MAIL_URL: `smtp://parley:first@127.0.0.1:${smtp.port}?requireTLS=false&logger=false`,
      MAIL_FROM: 'Parley <parley@example.com>',
      LOG_LEVEL: 'warn',
    });
    const [first, second] = nodes;
    const step = await openSteps(run);
    const [, command = ''] = await readCommands('secrets', 'Mail password');
    const rotate = (password: string) => step(`NEW=${password}\n${command}`);
    const readToken = async ({ login }: TestAccount): Promise<string> => {
      const findToken = () => {
        const lines = smtp.received.map(({ line }) => line);
        const mail = lines.slice(lines.lastIndexOf(`RCPT TO:<${login}>`));
        return lines.includes(`RCPT TO:<${login}>`) ? mail.find((line) => /^[\w-]{43}$/.test(line)) : '';
      };
      await waitUntil(() => Boolean(findToken()));
      return findToken() ?? '';
    };

    const before = stack.use(await createAccount(first));
    const mailed = await readToken(before);
    accepted.add('second');
    await rotate('second');
    accepted.delete('first');
    await verify(second, before, mailed);
    for (const node of nodes) {
      const account = stack.use(await createAccount(node));
      await verify(node, account, await readToken(account));
    }

    await rotate('third');
    const refused = stack.use(await createAccount(first));
    await waitUntil(() => first.printed().includes('mail not sent'));
    accepted.add('third');
    await createGraphqlClient(second.url, refused.token).run('mutation { sendVerificationEmail { id } }');
    await verify(first, refused, await readToken(refused));
  }, 120_000);

  test('the secrets of a webhook are replaced, and it receives the mail of each account', async () => {
    await using stack = new AsyncDisposableStack();
    const accepted = new Set(['/parley/first parley:first']);
    const webhook = stack.use(
      await startWebhook((path, authorization) => {
        const credentials = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString();
        return accepted.has(`${path} ${credentials}`);
      }),
    );
    const { nodes, run } = await startDeployment(stack, {
      MAIL_URL: `http://parley:first@127.0.0.1:${webhook.port}/parley/first`,
    });
    const [first, second] = nodes;
    const step = await openSteps(run);
    const [create = '', rotatePassword = '', rotatePath = ''] = await readCommands(
      'secrets',
      'Mail password',
    );
    const secret = create.replace(/\$\(.*\)/, 'second');
    const before = stack.use(await createAccount(first));
    await waitUntil(() => webhook.mailed.has(before.login));

    const accounts: TestAccount[] = [];
    const signUp = async (url: string): Promise<string> => {
      const account = await createTestAccount(url, createGraphqlClient(url));
      accounts.push(stack.use(account));
      return account.token;
    };
    const rotate = async (commands: string, next: string): Promise<void> => {
      const [former = ''] = accepted;
      accepted.add(next);
      await runBesideLogins(nodes, signUp, () => step(`${secret}${commands}`));
      accepted.delete(former);
      await signUp(first.url);
      await signUp(second.url);
    };
    await rotate(rotatePassword, '/parley/first parley:second');
    const target = `http://127.0.0.1:${webhook.port}`;
    await rotate(rotatePath.replace('https://hooks.example.com', target), '/parley/second ');

    await waitUntil(() => accounts.every(({ login }) => webhook.mailed.has(login)));
    expect(webhook.refusals()).toBe(0);
    for (const account of [before, ...accounts.slice(-2)])
      await verify(second, account, webhook.mailed.get(account.login) ?? '');
  }, 120_000);
});
