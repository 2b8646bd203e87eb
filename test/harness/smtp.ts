import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { Certificate } from './certificate.ts';

export interface SmtpOptions {
  /** Of a server that speaks TLS. */
  readonly certificate?: Certificate;
  /** Whether it speaks TLS from the start, not after STARTTLS. */
  readonly isImplicit?: boolean;
  /** Returns whether a login is accepted. Default: each is. */
  readonly isAccepted?: (username: string, password: string) => boolean;
}

export interface ReceivedLine {
  readonly line: string;
  readonly isEncrypted: boolean;
}

/** An SMTP server on 127.0.0.1. */
export interface SmtpServer extends AsyncDisposable {
  readonly port: number;
  /** Every line of its clients, of commands and mails. */
  readonly received: readonly ReceivedLine[];
  /** Resolves with them once the first mail has arrived. */
  readonly firstMail: Promise<readonly ReceivedLine[]>;
}

/** Starts an SMTP server that keeps every line it receives. */
export async function startSmtp({
  certificate,
  isImplicit = false,
  isAccepted = () => true,
}: SmtpOptions = {}): Promise<SmtpServer> {
  const { promise: firstMail, resolve } = Promise.withResolvers<ReceivedLine[]>();
  const received: ReceivedLine[] = [];
  const sockets = new Set<Socket>();
  const encrypt = (socket: Socket): TLSSocket =>
    new TLSSocket(socket, { isServer: true, secureContext: createSecureContext(certificate) });
  const replyToLogin = (line: string): string => {
    const [, username = '', password = ''] = Buffer.from(line.slice('AUTH PLAIN '.length), 'base64')
      .toString()
      .split('\0');
    return isAccepted(username, password) ? '235 ok\r\n' : '535 refused\r\n';
  };
  const converse = (socket: Socket, isEncrypted: boolean): void => {
    let isData = false;
    const replyTo = (line: string): void => {
      received.push({ line, isEncrypted });
      if (isData && line !== '.') return;
      if (isData) resolve(received);
      isData = line === 'DATA';
      if (isData) socket.write('354 go\r\n');
      else if (line.startsWith('AUTH')) socket.write(replyToLogin(line));
      else if (!line.startsWith('EHLO')) socket.write('250 ok\r\n');
      else
        socket.write(
          `250-test\r\n250 ${isEncrypted || certificate === undefined ? 'AUTH PLAIN' : 'STARTTLS'}\r\n`,
        );
    };
    socket.on('data', (chunk: Buffer) => {
      const lines = chunk.toString().split('\r\n');
      for (const line of lines.filter((text) => text !== '')) {
        if (line !== 'STARTTLS') {
          replyTo(line);
          continue;
        }
        received.push({ line, isEncrypted });
        socket.removeAllListeners('data');
        socket.write('220 ready\r\n', () => converse(encrypt(socket), true));
      }
    });
    socket.on('error', () => socket.destroy());
  };
  const server = createServer((plain) => {
    sockets.add(plain);
    plain.once('close', () => sockets.delete(plain));
    const socket = isImplicit ? encrypt(plain) : plain;
    converse(socket, isImplicit);
    socket.write('220 test\r\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    received,
    firstMail,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
