import { actorKey } from '../actor.ts';
import type { ActorKey, ActorRef } from '../actor.ts';
import type { Db } from '../db/database.ts';
import * as leaseRows from '../db/leases.ts';
import type { LeaseRow, Removal, RemovalResult } from '../db/leases.ts';
import type { PresenceChanges } from '../db/presence.ts';
import { startTimer as startSystemTimer } from '../lib/timeout.ts';
import type { StartTimer } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';

const RETRY_MS = 1_000;
/** Actors of one retry. */
const MAX_BATCH_SIZE = 1_000;

export interface PresenceUpdatesOptions {
  readonly db: Db;
  readonly log: Logger;
  readonly startTimer?: StartTimer;
}

interface Update {
  readonly actor: ActorRef;
  /** Leases to remove. They stay in the database until then, so that other nodes remove them if this one stops. */
  readonly leaseIds: readonly number[];
}

/**
 * Brings presence in line with leases. An actor whose rows another session has locked delays no other: it is left out,
 * and tried again each second.
 */
export class PresenceUpdates {
  readonly #options: PresenceUpdatesOptions;
  readonly #onChanged: (changes: PresenceChanges) => Promise<void>;
  readonly #pending = new Map<ActorKey, Update>();
  #cancelTimer: (() => void) | undefined;
  #retry: Promise<void> = Promise.resolve();
  #isStopped = false;

  /** `onChanged` must not throw. */
  constructor(options: PresenceUpdatesOptions, onChanged: (changes: PresenceChanges) => Promise<void>) {
    this.#options = options;
    this.#onChanged = onChanged;
  }

  /** Whether the actor is tried again: its rows were locked. */
  isPending(actor: ActorRef): boolean {
    return this.#pending.has(actorKey(actor));
  }

  /** Removes leases, and updates their actors. Never throws: what fails is retried. */
  async remove(leases: readonly LeaseRow[]): Promise<void> {
    const updates = [...Map.groupBy(leases, ({ actor }) => actorKey(actor)).values()].flatMap((own) =>
      own.slice(0, 1).map(({ actor }) => ({ actor, leaseIds: own.map(({ id }) => id) })),
    );
    this.#defer(updates.filter(({ actor }) => this.isPending(actor)));
    await this.#start(updates.filter(({ actor }) => !this.isPending(actor)));
  }

  /** Updates actors. Never throws: what fails is retried. */
  update(actors: readonly ActorRef[]): Promise<void> {
    return this.#start(actors.map((actor) => ({ actor, leaseIds: [] })));
  }

  /** Updates actors whose rows are locked, when they are free. */
  defer(actors: readonly ActorRef[]): void {
    this.#defer(actors.map((actor) => ({ actor, leaseIds: [] })));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTimer?.();
    await this.#retry;
  }

  async #start(updates: readonly Update[]): Promise<void> {
    if (updates.length === 0) return;
    const locked = await this.#run(updates, leaseRows.removeLeases);
    this.#defer(locked === undefined ? updates : updates.filter(({ actor }) => locked.has(actorKey(actor))));
  }

  /** Returns the actors whose rows are locked; undefined when the database failed. */
  async #run(
    updates: readonly Update[],
    removeLeases: (db: Db, removal: Removal) => Promise<RemovalResult>,
  ): Promise<ReadonlySet<ActorKey> | undefined> {
    const { db, log } = this.#options;
    try {
      const { locked, ...changes } = await removeLeases(db, {
        leaseIds: updates.flatMap(({ leaseIds }) => leaseIds),
        actors: updates.map(({ actor }) => actor),
      });
      await this.#onChanged(changes);
      return new Set(locked.map(actorKey));
    } catch (error) {
      log.warn({ err: error }, 'lease removal failed, retrying');
      return undefined;
    }
  }

  #defer(updates: readonly Update[]): void {
    const isFirst = this.#pending.size === 0;
    for (const { actor, leaseIds } of updates) {
      const key = actorKey(actor);
      const former = this.#pending.get(key)?.leaseIds ?? [];
      this.#pending.set(key, { actor, leaseIds: [...former, ...leaseIds] });
    }
    const actors = this.#pending.size;
    if (isFirst && actors > 0) this.#options.log.warn({ actors }, 'presence is locked, retrying');
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isStopped || this.#cancelTimer !== undefined || this.#pending.size === 0) return;
    const { startTimer = startSystemTimer } = this.#options;
    this.#cancelTimer = startTimer(RETRY_MS, () => {
      this.#retry = this.#retryAll().finally(() => {
        this.#cancelTimer = undefined;
        this.#schedule();
      });
    });
  }

  async #retryAll(): Promise<void> {
    const entries = [...this.#pending];
    for (let start = 0; start < entries.length && !this.#isStopped; start += MAX_BATCH_SIZE) {
      const batch = entries.slice(start, start + MAX_BATCH_SIZE);
      const locked = await this.#run(
        batch.map(([, update]) => update),
        leaseRows.removeFreeLeases,
      );
      if (locked === undefined) return;
      for (const [key, update] of batch)
        // Another lease of the actor may have been added to the update.
        if (!locked.has(key) && this.#pending.get(key) === update) this.#pending.delete(key);
    }
  }
}
