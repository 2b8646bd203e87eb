import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Semaphore } from '../../lib/semaphore.ts';
import type { Logger } from '../../log.ts';
import { ConnectionSlots } from '../connection-slots.ts';
import { createPhoneAccess } from './phone-access.ts';
import type { PhoneAccess } from './phone-access.ts';
import { createHttpServer } from './server.ts';
import type { HttpServer } from './server.ts';
import type { RequestsOptions } from './requests.ts';

const DEFAULT_LIFETIME_MS = 15 * 60_000;
/** A page has about ten. */
const MAX_CONNECTIONS = 64;
/** Connections that have not sent the cookie: each is of a stranger, or is about to send it. */
const MAX_ANONYMOUS = 32;

/** Where the gateway may listen for a phone. */
export interface PhoneOptions {
  /** Returns the address of this machine in the local network; undefined if it is in none. */
  findAddress(): string | undefined;
  /** Default: 15 minutes. */
  readonly lifetimeMs?: number | undefined;
}

export interface OpenedListener {
  /** With the key, which works once. */
  readonly url: string;
  readonly expiresInMs: number;
}

/** A second server in the local network, for one phone and a limited time. */
export interface PhoneListener {
  /** Whether a phone has used the key, and how long it stays open; empty if it is closed. */
  state(): { readonly isUsed?: boolean; readonly expiresInMs?: number };
  /** Opens it, and closes the former one. */
  open(): Promise<OpenedListener | 'no network' | 'refused'>;
  close(): Promise<void>;
}

interface Opened {
  readonly http: HttpServer;
  readonly access: PhoneAccess;
  readonly expiresAt: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Creates the listener, which is closed. Its requests have no access to the routes of operators, although they reach this
 * machine directly.
 */
export function createPhoneListener(
  { findAddress, lifetimeMs = DEFAULT_LIFETIME_MS }: PhoneOptions,
  { routes, policy, log, ...options }: RequestsOptions,
): PhoneListener {
  let opened: Opened | undefined;
  const changes = new Semaphore(1);

  const close = async (): Promise<void> => {
    if (opened === undefined) return;
    const { http, timer } = opened;
    opened = undefined;
    clearTimeout(timer);
    const closed = http.close();
    http.destroyConnections();
    await closed;
    log.info('phone listener closed');
  };

  const open = async (): Promise<OpenedListener | 'no network' | 'refused'> => {
    await close();
    const address = findAddress();
    if (address === undefined) return 'no network';
    const access = createPhoneAccess(lifetimeMs);
    const connectionSlots = createSlots(log);
    const http = createHttpServer({
      ...options,
      log,
      connectionSlots,
      routes: [access.route, ...routes],
      policy: {
        ...policy,
        operatorAccess: () => 'hidden',
        isAdmitted(request) {
          const isAdmitted = access.isAdmitted(request);
          if (isAdmitted) connectionSlots.identifyAs(request.socket, 'phone');
          return isAdmitted;
        },
      },
    });
    const port = await listen(http, address, log);
    if (port === undefined) return 'refused';
    const timer = setTimeout(() => void changes.run(close), lifetimeMs).unref();
    opened = { http, access, timer, expiresAt: performance.now() + lifetimeMs };
    log.info({ address, port }, 'phone listener opened');
    return { url: `http://${address}:${port}${access.entrance}`, expiresInMs: lifetimeMs };
  };

  return {
    state() {
      if (opened === undefined) return {};
      const { access, expiresAt } = opened;
      return { isUsed: access.isUsed(), expiresInMs: Math.max(0, Math.ceil(expiresAt - performance.now())) };
    },
    open: () => changes.run(open),
    close: () => changes.run(close),
  };
}

const createSlots = (log: Logger): ConnectionSlots =>
  new ConnectionSlots({
    max: MAX_CONNECTIONS,
    maxAnonymous: MAX_ANONYMOUS,
    isProxy: () => false,
    onRefused: (address) => log.debug({ address }, 'phone listener refused a connection'),
  });

/** Returns the port; undefined if the system refuses to listen. */
async function listen(
  { server, close }: HttpServer,
  address: string,
  log: Logger,
): Promise<number | undefined> {
  server.listen({ port: 0, host: address });
  try {
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  } catch (error) {
    log.warn({ err: error, address }, 'phone listener failed to open');
    await close();
    return undefined;
  }
}
