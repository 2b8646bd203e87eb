import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { json } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { createLogger } from '../../src/log.ts';
import { createMailer } from '../../src/services/mailer.ts';
import type { Mail } from '../../src/services/mailer.ts';

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

/** Starts an SMTP server that accepts one mail; returns its port and the lines that it receives. */
async function startSmtp() {
  const { promise: lines, resolve } = Promise.withResolvers<string[]>();
  const server = createServer((socket) => {
    const received: string[] = [];
    let isData = false;
    socket.write('220 test\r\n');
    socket.on('data', (chunk: Buffer) => {
      for (const line of chunk
        .toString()
        .split('\r\n')
        .filter((text) => text !== '')) {
        received.push(line);
        if (isData && line !== '.') continue;
        if (isData) resolve(received);
        isData = line === 'DATA';
        socket.write(isData ? '354 go\r\n' : line.startsWith('EHLO') ? '250 test\r\n' : '250 ok\r\n');
      }
    });
    socket.on('error', () => socket.destroy());
  });
  return { port: await listen(server), lines, server };
}

test('a mail is sent over SMTP, to one address whatever it contains', async () => {
  const { port, lines, server } = await startSmtp();
  await using mailer = await createMailer({
    url: `smtp://127.0.0.1:${port}`,
    from: 'Parley <parley@example.com>',
    log: createLogger('silent'),
  });
  mailer.send(MAIL);
  const received = await lines;
  expect(received.filter((line) => line.startsWith('RCPT'))).toHaveLength(1);
  expect(received).toContain('MAIL FROM:<parley@example.com>');
  expect(received).toContain('From: Parley <parley@example.com>');
  expect(received).toContain('The text');
  server.close();
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
