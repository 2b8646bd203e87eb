import { describe, expect, test } from 'vitest';
import { createTestAccount } from '../../src/testing/account.ts';
import type { TestAccount } from '../../src/testing/account.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { isMissing } from '../harness/installed-programs.ts';
import type { Server } from '../harness/server.ts';
import { startSmtp } from '../harness/smtp.ts';
import { waitUntil } from '../harness/waiting.ts';
import { readCommands, startDeployment } from './book.ts';
import { openSteps } from './rotation.ts';

// Rotates MAIL_URL with the commands of docs/operations/secrets.md, beside pending verifications.

describe.skipIf(isMissing('postgresql', 'curl'))('rotation', () => {
  test('the password of the mail server is replaced, and each account can verify its address', async () => {
    await using stack = new AsyncDisposableStack();
    const accepted = new Set(['first']);
    const smtp = stack.use(await startSmtp({ isAccepted: (_user, password) => accepted.has(password) }));
    const target = `127.0.0.1:${smtp.port}?requireTLS=false&logger=false`;
    const { nodes, run } = await startDeployment(stack, {
      MAIL_URL: `smtp://parley:first@${target}`,
      MAIL_FROM: 'Parley <parley@example.com>',
      LOG_LEVEL: 'warn',
    });
    const [first, second] = nodes;
    const step = await openSteps(run);
    const [command = ''] = await readCommands('secrets', 'Mail password');
    const rotate = (password: string) =>
      step(`NEW=${password}\n${command.replace(/smtps:(.*)smtp\.example\.com/, `smtp:$1${target}`)}`);
    const createAccount = async ({ url }: Server) =>
      stack.use(await createTestAccount(url, createGraphqlClient(url)));
    const readToken = async ({ login }: TestAccount): Promise<string> => {
      const findToken = () => {
        const lines = smtp.received.map(({ line }) => line);
        const mail = lines.slice(lines.lastIndexOf(`RCPT TO:<${login}>`));
        return lines.includes(`RCPT TO:<${login}>`) ? mail.find((line) => /^[\w-]{43}$/.test(line)) : '';
      };
      await waitUntil(() => Boolean(findToken()));
      return findToken() ?? '';
    };
    const verify = async ({ url }: Server, { token }: TestAccount, mailed: string): Promise<void> => {
      const query =
        'mutation ($token: String!) { verifyEmail(token: $token) { emailVerification { isVerified } } }';
      expect(await createGraphqlClient(url, token).run(query, { token: mailed })).toEqual({
        verifyEmail: { emailVerification: { isVerified: true } },
      });
    };

    const before = await createAccount(first);
    const mailed = await readToken(before);
    accepted.add('second');
    await rotate('second');
    accepted.delete('first');
    await verify(second, before, mailed);
    for (const node of nodes) {
      const account = await createAccount(node);
      await verify(node, account, await readToken(account));
    }

    await rotate('third');
    const refused = await createAccount(first);
    await waitUntil(() => first.printed().includes('mail not sent'));
    accepted.add('third');
    await createGraphqlClient(second.url, refused.token).run('mutation { sendVerificationEmail { id } }');
    await verify(first, refused, await readToken(refused));
  }, 120_000);
});
