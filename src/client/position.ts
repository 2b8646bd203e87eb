import type { CursorPlan } from './plan.ts';

/** What a result of a durable subscription says about its position. */
export interface Step {
  readonly cursor: string;
  readonly isLive: boolean;
  /** The app has it already: an event with the newest cursor, or one more `StreamLive`. */
  readonly isRepeated: boolean;
}

/** The position of a durable subscription: the newest cursor, in the variables with which it begins again. */
export class Position {
  readonly #variables: Record<string, unknown>;
  readonly #plan: CursorPlan;
  #isLiveTold = false;

  /** The variables are changed as it moves. An empty cursor is none. */
  constructor(variables: Record<string, unknown>, plan: CursorPlan) {
    this.#variables = variables;
    this.#plan = plan;
    if (variables[plan.variable] === '') delete variables[plan.variable];
  }

  get cursor(): string | null {
    const cursor = this.#variables[this.#plan.variable];
    return typeof cursor === 'string' ? cursor : null;
  }

  /** Whether results say which of them is `StreamLive`. */
  get hasTypes(): boolean {
    return this.#plan.typenameKeys.length > 0;
  }

  /** Undefined for a value without a cursor. */
  read(value: Readonly<Record<string, unknown>>): Step | undefined {
    const cursor = textAt(value, this.#plan.cursorKeys);
    if (cursor === undefined) return undefined;
    const isLive = textAt(value, this.#plan.typenameKeys) === 'StreamLive';
    return { cursor, isLive, isRepeated: isLive ? this.#isLiveTold : cursor === this.cursor };
  }

  moveTo(cursor: string, isLive = false): void {
    this.#variables[this.#plan.variable] = cursor;
    this.#isLiveTold ||= isLive;
  }
}

function textAt(value: Readonly<Record<string, unknown>>, keys: readonly string[]): string | undefined {
  return keys.map((key) => value[key]).find((text) => typeof text === 'string');
}
