import { isLoopback } from '../config.ts';
import { Semaphore } from '../lib/semaphore.ts';
import { waitAtMost } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';

const CONCURRENCY = 4;
/** Mails of a few hundred bytes. Further ones are dropped: accounts may request another mail. */
const MAX_PENDING = 1_000;
const SEND_TIMEOUT_MS = 20_000;
/** The whole process has 5 s to stop. */
const DRAIN_TIMEOUT_MS = 1_500;

export interface Mail {
  /** Tells a webhook which mail this is, for a template of its own. */
  readonly type: 'verify-email';
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly token: string;
}

export interface Mailer extends AsyncDisposable {
  /** Queues a mail. A failure is logged, without the token. */
  send(mail: Mail): void;
}

export interface MailerOptions {
  /** `smtp://`, `smtps://`, or a webhook: `https://`, `http://`. */
  readonly url: string;
  readonly from: string | undefined;
  readonly log: Logger;
}

interface Transport {
  deliver(mail: Mail): Promise<unknown>;
  close(): void;
}

/** Creates a mailer over an SMTP server, or a webhook that receives each mail as JSON. Disposal waits briefly for mails. */
export async function createMailer({ url, from, log }: MailerOptions): Promise<Mailer> {
  const { deliver, close } = /^smtp/i.test(url) ? await createSmtp(url, from) : createWebhook(url);
  const slots = new Semaphore(CONCURRENCY);
  const pending = new Set<Promise<void>>();
  const deliverAndLog = async (mail: Mail): Promise<void> => {
    try {
      await slots.run(() => deliver(mail));
    } catch (error) {
      log.warn({ err: error }, 'mail not sent');
    }
  };
  return {
    send(mail) {
      if (pending.size >= MAX_PENDING) return log.warn({ pending: pending.size }, 'mail dropped, queue full');
      const sending = deliverAndLog(mail).finally(() => pending.delete(sending));
      pending.add(sending);
    },
    async [Symbol.asyncDispose]() {
      await waitAtMost(DRAIN_TIMEOUT_MS, Promise.all(pending));
      close();
    },
  };
}

/** Whether a server that does not offer TLS gets no mail: an attacker in between may have removed the offer. */
const mustEncrypt = ({ username, hostname }: URL): boolean =>
  username !== '' && !isLoopback(hostname.replace(/^\[|\]$/g, ''));

async function createSmtp(url: string, from: string | undefined): Promise<Transport> {
  // Imported on use: few gateways send mail.
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({
    url,
    // `?requireTLS=` in the URL overrides it.
    requireTLS: mustEncrypt(new URL(url)),
    pool: true,
    maxConnections: CONCURRENCY,
    connectionTimeout: SEND_TIMEOUT_MS,
    greetingTimeout: SEND_TIMEOUT_MS,
    socketTimeout: SEND_TIMEOUT_MS,
  });
  return {
    deliver: ({ to, subject, text }) =>
      // An object, not text: a comma in an address must not add recipients.
      transport.sendMail({ from, to: { name: '', address: to }, subject, text }),
    close: () => transport.close(),
  };
}

/** Credentials in the URL are sent as Basic authentication. */
function createWebhook(url: string): Transport {
  const target = new URL(url);
  const { username, password } = target;
  target.username = '';
  target.password = '';
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const headers = new Headers({ 'content-type': 'application/json' });
  if (username !== '') headers.set('authorization', `Basic ${Buffer.from(credentials).toString('base64')}`);
  const stop = new AbortController();
  return {
    async deliver(mail) {
      const response = await fetch(target, {
        method: 'POST',
        headers,
        body: JSON.stringify(mail),
        redirect: 'error',
        signal: AbortSignal.any([stop.signal, AbortSignal.timeout(SEND_TIMEOUT_MS)]),
      });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`The webhook responded with ${response.status}.`);
    },
    close: () => stop.abort(),
  };
}
