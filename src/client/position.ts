import type { CursorPlan } from './plan.ts';

/** The position in a result of a durable subscription. */
export interface Step {
  readonly cursor: string;
  readonly isLive: boolean;
  /** Whether the app already received it: the event at the current cursor, or another `StreamLive`. */
  readonly isRepeated: boolean;
}

/** The position of a durable subscription: the newest cursor, kept in the variables with which it restarts. */
export class Position {
  readonly #variables: Record<string, unknown>;
  readonly #plan: CursorPlan;
  #hasDeliveredLive = false;

  /** Mutates the variables when the position moves. An empty cursor counts as absent. */
  constructor(variables: Record<string, unknown>, plan: CursorPlan) {
    this.#variables = variables;
    this.#plan = plan;
    if (variables[plan.variable] === '') delete variables[plan.variable];
  }

  get cursor(): string | null {
    const cursor = this.#variables[this.#plan.variable];
    return typeof cursor === 'string' ? cursor : null;
  }

  /** Whether the operation selects `__typename`, which distinguishes `StreamLive`. */
  get hasTypenames(): boolean {
    return this.#plan.typenameKeys.length > 0;
  }

  /** Reads the position of a result; undefined if it has no cursor. */
  read(value: Readonly<Record<string, unknown>>): Step | undefined {
    const cursor = textAt(value, this.#plan.cursorKeys);
    if (cursor === undefined) return undefined;
    const isLive = textAt(value, this.#plan.typenameKeys) === 'StreamLive';
    return { cursor, isLive, isRepeated: isLive ? this.#hasDeliveredLive : cursor === this.cursor };
  }

  moveTo(cursor: string, isLive = false): void {
    this.#variables[this.#plan.variable] = cursor;
    this.#hasDeliveredLive ||= isLive;
  }
}

function textAt(value: Readonly<Record<string, unknown>>, keys: readonly string[]): string | undefined {
  return keys.map((key) => value[key]).find((text) => typeof text === 'string');
}
