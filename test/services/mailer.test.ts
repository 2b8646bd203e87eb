import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { json } from 'node:stream/consumers';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { createLogger } from '../../src/log.ts';
import { createMailer } from '../../src/services/mailer.ts';
import type { Mail } from '../../src/services/mailer.ts';
import { createCertificate } from '../harness/certificate.ts';
import type { Certificate } from '../harness/certificate.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startSmtp } from '../harness/smtp.ts';
import type { ReceivedLine } from '../harness/smtp.ts';

const MAIL: Mail = {
  type: 'verify-email',
  to: 'ann@example.com,eve@example.com',
  subject: 'Subject',
  text: 'The text',
  token: 'token',
};

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Trusts a certificate, as NODE_EXTRA_CA_CERTS would, until disposal. */
function trust({ cert }: Certificate): Disposable {
  const former = getCACertificates('default');
  setDefaultCACertificates([...former, cert]);
  return { [Symbol.dispose]: () => setDefaultCACertificates(former) };
}

test('a mail is sent over SMTP, to one address whatever it contains', async () => {
  await using smtp = await startSmtp();
  await using mailer = await createMailer({
    url: `smtp://127.0.0.1:${smtp.port}`,
    from: 'Parley <parley@example.com>',
    log: createLogger('silent'),
  });
  mailer.send(MAIL);
  const received = (await smtp.firstMail).map(({ line }) => line);
  expect(received.filter((line) => line.startsWith('RCPT'))).toHaveLength(1);
  expect(received).toContain('MAIL FROM:<parley@example.com>');
  expect(received).toContain('From: Parley <parley@example.com>');
  expect(received).toContain('The text');
});

describe.skipIf(isMissing('openssl'))('SMTP over TLS', () => {
  const isMessage = ({ line }: ReceivedLine): boolean => /^(?:AUTH|MAIL|RCPT|The text)/.test(line);

  test.for([
    { scheme: 'smtps', isImplicit: true },
    { scheme: 'smtp', isImplicit: false },
  ])('$scheme://: credentials and mail cross only encrypted', async ({ scheme, isImplicit }) => {
    const certificate = createCertificate('localhost');
    using _ = trust(certificate);
    await using smtp = await startSmtp({ certificate, isImplicit });
    await using mailer = await createMailer({
      url: `${scheme}://parley:secret@localhost:${smtp.port}`,
      from: 'parley@example.com',
      log: createLogger('silent'),
    });
    mailer.send(MAIL);
    const message = (await smtp.firstMail).filter(isMessage);
    expect(message.map(({ line }) => line.split(' ')[0])).toEqual(['AUTH', 'MAIL', 'RCPT', 'The']);
    expect(message.every(({ isEncrypted }) => isEncrypted)).toBe(true);
  });

  test.for([
    { scheme: 'smtps', isImplicit: true },
    { scheme: 'smtp', isImplicit: false },
  ])(
    '$scheme://: a server whose certificate is not trusted receives nothing',
    async ({ scheme, isImplicit }) => {
      const certificate = createCertificate('localhost');
      await using smtp = await startSmtp({ certificate, isImplicit });
      const warnings: unknown[] = [];
      const log = { ...createLogger('silent'), warn: (...line: unknown[]) => void warnings.push(line) };
      await using mailer = await createMailer({
        url: `${scheme}://parley:secret@localhost:${smtp.port}`,
        from: 'parley@example.com',
        log,
      });
      mailer.send(MAIL);
      await mailer[Symbol.asyncDispose]();
      expect(warnings).toHaveLength(1);
      expect(smtp.received.filter(isMessage)).toEqual([]);
    },
  );
});

// 0.0.0.0 is this machine, but not by the name of a loopback address.
test.for([
  { url: 'smtp://parley:secret@0.0.0.0:PORT', sent: ['EHLO'] },
  { url: 'smtp://0.0.0.0:PORT', sent: ['EHLO', 'MAIL', 'RCPT', 'DATA'] },
  {
    url: 'smtp://parley:secret@0.0.0.0:PORT?requireTLS=false',
    sent: ['EHLO', 'AUTH', 'MAIL', 'RCPT', 'DATA'],
  },
  { url: 'smtp://parley:secret@127.0.0.1:PORT', sent: ['EHLO', 'AUTH', 'MAIL', 'RCPT', 'DATA'] },
])('$url and a server without TLS', async ({ url, sent }) => {
  await using smtp = await startSmtp();
  await using mailer = await createMailer({
    url: url.replace('PORT', String(smtp.port)),
    from: 'parley@example.com',
    log: createLogger('silent'),
  });
  mailer.send(MAIL);
  await mailer[Symbol.asyncDispose]();
  const commands = smtp.received.map(({ line }) => /^(?:EHLO|AUTH|MAIL|RCPT|DATA)/.exec(line)?.[0]);
  expect(commands.filter((command) => command !== undefined)).toEqual(sent);
});

test('a webhook receives each mail as JSON, with the credentials of its URL', async () => {
  const { promise: received, resolve } = Promise.withResolvers<unknown>();
  const server = createHttpServer((request, response) => {
    json(request).then((body) => resolve({ authorization: request.headers.authorization, body }), resolve);
    response.writeHead(204).end();
  });
  const port = await listen(server);
  await using mailer = await createMailer({
    url: `http://parley:p%40ss@127.0.0.1:${port}/mails`,
    from: undefined,
    log: createLogger('silent'),
  });
  mailer.send(MAIL);
  expect(await received).toEqual({
    authorization: `Basic ${Buffer.from('parley:p@ss').toString('base64')}`,
    body: MAIL,
  });
  server.close();
});

test('a mail that cannot be sent is logged without its token, and disposal waits for those in flight', async () => {
  const warnings: unknown[] = [];
  const server = createHttpServer((_request, response) => response.writeHead(500).end());
  const port = await listen(server);
  const log = { ...createLogger('silent'), warn: (...line: unknown[]) => void warnings.push(line) };
  await using mailer = await createMailer({ url: `http://127.0.0.1:${port}`, from: undefined, log });
  mailer.send(MAIL);
  await mailer[Symbol.asyncDispose]();
  expect(warnings).toHaveLength(1);
  expect(JSON.stringify(warnings)).not.toContain(MAIL.token);
  server.close();
});
