import { setTimeout as sleep } from 'node:timers/promises';
import type { Payer } from '../actor.ts';
import { DomainError } from '../errors.ts';
import { OpenSubscriptions } from './open-subscriptions.ts';
import type { SubscriptionSize } from './open-subscriptions.ts';
import type { ReportRefusal } from './refusals.ts';

/** A budget of points. It refills steadily, up to `burst` points. */
export interface Budget {
  readonly perSecond: number;
  readonly burst: number;
  /** An operation over the budget waits at most this time for it to refill; then it is refused. */
  readonly maxDelayMs: number;
}

/**
 * The budgets of this node. A point is about 0.1 ms of CPU, or one SQL statement. An operation with a valid token pays
 * from the budget of its account; any other one, which is anonymous, pays from all of the other three.
 */
export const BUDGETS = {
  account: { perSecond: 8_000, burst: 80_000, maxDelayMs: 5_000 },
  connection: { perSecond: 100, burst: 5_000, maxDelayMs: 1_000 },
  address: { perSecond: 300, burst: 20_000, maxDelayMs: 1_000 },
  anonymous: { perSecond: 1_500, burst: 30_000, maxDelayMs: 1_000 },
} as const satisfies Record<string, Budget>;

/** Concurrent work of one account (or of one address without an account), in statements of its operations. */
export const CONCURRENCY = {
  account: { running: 512, queuedOperations: 10_000 },
  address: { running: 64, queuedOperations: 2_000 },
} as const;

export type BudgetKind = keyof typeof BUDGETS;
export type OperationBudgets = Readonly<Record<BudgetKind, Budget>>;
export type RefusalKind = BudgetKind | 'concurrency' | 'subscriptions' | 'subscription bytes';

/** A running operation. */
export interface Turn {
  /** Called exactly once. */
  end(): void;
}

/** Limits the cost of operations and how many run concurrently, by payer. Counted in memory, for this node. */
export interface OperationLimits {
  /**
   * Charges the points. Returns undefined if they are available, a promise that resolves when they are, and throws
   * RATE_LIMITED if that takes longer than the budget's `maxDelayMs`.
   */
  charge(payer: Payer, points: number): Promise<void> | undefined;
  /** Charges points for work that is already done. Never refuses: what exceeds a budget delays the next charge. */
  chargeAfterwards(payer: Payer, points: number): void;
  /** Throws RATE_LIMITED while the budget of the connection alone is exhausted. Charges nothing. */
  requireConnectionBudget(payer: Payer): void;
  /**
   * Runs the work. If it throws RATE_LIMITED, waits for its `retryAfterMs`, at most 1 s, before it throws. Connections bound
   * their operations and events in progress, so a client that ignores refusals is slowed down instead of being answered as
   * fast as it sends.
   */
  slowly<Result>(work: () => Result | Promise<Result>): Result | Promise<Result>;
  /** Waits for this time, at most 1 s: the `retryAfterMs` of a refusal that has been sent. */
  pause(ms: number | undefined): Promise<void>;
  /**
   * Starts an operation, once few enough statements of the same payer are running. Throws RATE_LIMITED when too many
   * operations are queued.
   */
  begin(payer: Payer, statements: number): Turn | Promise<Turn>;
  /** Counts a subscription until `closeSubscription` is called. Throws RATE_LIMITED when there are too many. */
  openSubscription(payer: Payer, size: SubscriptionSize): void;
  closeSubscription(payer: Payer, size: SubscriptionSize): void;
}

export interface OperationLimitsOptions {
  /** Without, budgets and the count of subscriptions refuse nothing; the concurrency stays bounded. */
  readonly enabled: boolean;
  readonly reportRefusal?: ReportRefusal | undefined;
  readonly budgets?: OperationBudgets | undefined;
  readonly maxPauseMs?: number;
}

export function createOperationLimits(options: OperationLimitsOptions): OperationLimits {
  const { enabled, reportRefusal, budgets = BUDGETS, maxPauseMs = MAX_PAUSE_MS } = options;
  const buckets = {
    account: new Buckets(budgets.account),
    connection: new Buckets(budgets.connection),
    address: new Buckets(budgets.address),
    anonymous: new Buckets(budgets.anonymous),
  };
  const turns = new Map<string, Turns>();
  const subscriptions = new OpenSubscriptions();

  const refuse = (limit: RefusalKind, payer: Payer, retryAfterMs: number): never => {
    const wholeMs = Math.max(1, Math.ceil(retryAfterMs));
    reportRefusal?.(limit, payer);
    throw new DomainError('RATE_LIMITED', 'Too many requests. Try again later.', { retryAfterMs: wholeMs });
  };
  const accountsOf = ({ account, address, connection, key }: Payer): readonly [BudgetKind, string][] => {
    if (account !== undefined) return [['account', key]];
    const anonymous: [BudgetKind, string][] = [
      ['address', address],
      ['anonymous', ''],
    ];
    return connection === undefined ? anonymous : [['connection', connection], ...anonymous];
  };
  const holdBack = async (error: unknown): Promise<never> => {
    if (error instanceof DomainError && error.code === 'RATE_LIMITED')
      await pause(error.details.retryAfterMs);
    throw error;
  };
  const pause = async (ms = 0): Promise<void> => {
    await sleep(Math.min(ms, maxPauseMs), undefined, { ref: false });
  };
  const requireBudget = (payer: Payer, kind: BudgetKind, key: string, now: number): number => {
    const delayMs = buckets[kind].delay(key, now);
    const { maxDelayMs } = budgets[kind];
    return delayMs > maxDelayMs ? refuse(kind, payer, delayMs) : delayMs;
  };

  return {
    charge(payer, points) {
      if (!enabled) return undefined;
      const now = performance.now();
      const accounts = accountsOf(payer);
      let delayMs = 0;
      for (const [kind, key] of accounts) delayMs = Math.max(delayMs, requireBudget(payer, kind, key, now));
      for (const [kind, key] of accounts) buckets[kind].add(key, points, now);
      return delayMs === 0 ? undefined : sleep(delayMs, undefined, { ref: false });
    },
    chargeAfterwards(payer, points) {
      if (!enabled) return;
      const now = performance.now();
      for (const [kind, key] of accountsOf(payer)) buckets[kind].add(key, points, now);
    },
    requireConnectionBudget(payer) {
      if (!enabled || payer.account !== undefined || payer.connection === undefined) return;
      requireBudget(payer, 'connection', payer.connection, performance.now());
    },
    begin(payer, statements) {
      const key = payer.key;
      const limits = payer.account === undefined ? CONCURRENCY.address : CONCURRENCY.account;
      let own = turns.get(key);
      if (own === undefined) turns.set(key, (own = new Turns(limits.running, () => turns.delete(key))));
      if (own.queued >= limits.queuedOperations) refuse('concurrency', payer, QUEUE_RETRY_MS);
      return own.start(Math.max(1, statements));
    },
    slowly(work) {
      try {
        const result = work();
        return result instanceof Promise ? result.catch(holdBack) : result;
      } catch (error) {
        return holdBack(error);
      }
    },
    pause,
    openSubscription(payer, size) {
      const limit = subscriptions.add(payer.key, size, enabled);
      if (limit !== undefined) refuse(limit, payer, QUEUE_RETRY_MS);
    },
    closeSubscription: (payer, size) => subscriptions.remove(payer.key, size),
  };
}

/** Longest pause after a refusal. */
const MAX_PAUSE_MS = 1_000;
const QUEUE_RETRY_MS = 1_000;
/** Budgets of one kind that are not full. Beyond this, those closest to full are dropped. */
const MAX_BUCKETS = 20_000;

/** The budgets of one kind, as the time at which each will be full again (the generic cell rate algorithm). */
class Buckets {
  readonly #fullAt = new Map<string, number>();
  readonly #msPerPoint: number;
  readonly #burstMs: number;

  constructor({ perSecond, burst }: Budget) {
    this.#msPerPoint = 1_000 / perSecond;
    this.#burstMs = burst * this.#msPerPoint;
  }

  /** Returns the time until the budget has points again; 0 if it has some. */
  delay(key: string, now: number): number {
    return Math.max(0, (this.#fullAt.get(key) ?? now) - now - this.#burstMs);
  }

  add(key: string, points: number, now: number): void {
    const fullAt = this.#fullAt.get(key);
    if (fullAt === undefined && this.#fullAt.size >= MAX_BUCKETS) this.#drop(now);
    this.#fullAt.set(key, Math.max(now, fullAt ?? now) + points * this.#msPerPoint);
  }

  #drop(now: number): void {
    for (const [key, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(key);
    if (this.#fullAt.size < MAX_BUCKETS) return;
    const byUse = [...this.#fullAt].toSorted(([, a], [, b]) => a - b);
    for (const [key] of byUse.slice(0, MAX_BUCKETS / 2)) this.#fullAt.delete(key);
  }
}

/** The running and queued operations of one payer. */
class Turns {
  readonly #maxRunning: number;
  readonly #onIdle: () => void;
  readonly #queue: { readonly statements: number; readonly start: (turn: Turn) => void }[] = [];
  #running = 0;

  constructor(maxRunning: number, onIdle: () => void) {
    this.#maxRunning = maxRunning;
    this.#onIdle = onIdle;
  }

  get queued(): number {
    return this.#queue.length;
  }

  start(statements: number): Turn | Promise<Turn> {
    if (this.#queue.length === 0 && this.#fits(statements)) return this.#take(statements);
    return new Promise((start) => this.#queue.push({ statements, start }));
  }

  #take(statements: number): Turn {
    this.#running += statements;
    return { end: () => this.#end(statements) };
  }

  #end(statements: number): void {
    this.#running -= statements;
    for (
      let next = this.#queue[0];
      next !== undefined && this.#fits(next.statements);
      next = this.#queue[0]
    ) {
      this.#queue.shift();
      next.start(this.#take(next.statements));
    }
    if (this.#running === 0) this.#onIdle();
  }

  /** An operation that is larger than the limit runs alone. */
  #fits(statements: number): boolean {
    return this.#running === 0 || this.#running + statements <= this.#maxRunning;
  }
}
