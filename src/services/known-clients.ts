import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { actorKey } from '../actor.ts';
import type { ActorKey, ActorRef } from '../actor.ts';
import { areKnown, rememberClient } from '../db/login-attempts.ts';
import type { KnownClient } from '../db/login-attempts.ts';
import type { Db } from '../db/database.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { Batcher } from '../lib/batcher.ts';
import { emailKey } from '../lib/text.ts';

/** A client is known for this long after its last login to the account. */
export const KNOWN_CLIENT_DAYS = 90;
const MAX_KNOWN_CLIENTS = 20;
/** A client is remembered again after this time, not at each login. */
const REMEMBER_INTERVAL_MS = 3_600_000;
/** Bounds the memory of each cache of this node. */
const MAX_CACHED = 10_000;

/** The client that tries a password. */
export interface LoginClient {
  readonly address: string;
  /** The session or device whose token of the account the client presented. */
  readonly session?: string | undefined;
}

/** The clients that accounts know: those that present a token of the account, or have logged in from their address. */
export class KnownClients {
  readonly #db: Db;
  readonly #batcher: Batcher<KnownClient, boolean>;
  /** Time at which an account and address were last remembered. */
  readonly #rememberedAt = new LRUCache<string, number>({ max: MAX_CACHED });
  /** Names that have logged in from an address, so that this is known before the lookup of their account. */
  readonly #names = new LRUCache<string, true>({ max: MAX_CACHED });

  constructor(db: Db) {
    this.#db = db;
    this.#batcher = createBatcher<KnownClient, boolean>((clients) => areKnown(db, clients), {
      maxBatchSize: 200,
    });
  }

  /** Returns how the account knows the client: by a token, or by its address. */
  async find(account: ActorKey, { address, session }: LoginClient): Promise<string | undefined> {
    if (session !== undefined) return `session ${session}`;
    const client = `address ${address}`;
    return (await this.#batcher.submit({ account, client })) ? client : undefined;
  }

  async remember(actor: ActorRef, { address }: LoginClient): Promise<void> {
    const key = `${actorKey(actor)} ${address}`;
    const last = this.#rememberedAt.get(key);
    if (last !== undefined && performance.now() - last < REMEMBER_INTERVAL_MS) return;
    await rememberClient(this.#db, actor, `address ${address}`, MAX_KNOWN_CLIENTS);
    this.#rememberedAt.set(key, performance.now());
  }

  rememberName(name: string, client: LoginClient): void {
    this.#names.set(keyOfName(name, client), true);
  }

  hasName(name: string, client: LoginClient): boolean {
    return this.#names.has(keyOfName(name, client));
  }
}

const keyOfName = (name: string, { address }: LoginClient): string => `${hashName(name)} ${address}`;

/** Returns a short hash of a name, as names may be long. */
export const hashName = (name: string): string =>
  createHash('sha256').update(emailKey(name)).digest('base64url').slice(0, 22);
