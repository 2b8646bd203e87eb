import { setTimeout as pause } from 'node:timers/promises';
import type { Payer } from '../actor.ts';
import { DomainError } from '../errors.ts';
import type { EventBudgets } from './deps.ts';

/** Points of an event, beside those of the operation that it may run. */
const EVENT_POINTS = 1;
/** Points of a rejected `authenticate`. */
const REJECTED_LOGIN_POINTS = 1;
/** Longest time that a client's further events wait after a refusal. */
const MAX_PAUSE_MS = 1_000;

/**
 * Charges an event before it is handled. Returns the error with which it is refused. An `authenticate` of an anonymous
 * client is charged only when it fails: a flood from the same address must not keep others from logging in.
 */
export async function chargeEvent(
  budgets: EventBudgets,
  payer: Payer,
  isLogin: boolean,
): Promise<DomainError | undefined> {
  try {
    if (isLogin && payer.account === undefined) budgets.requireConnectionBudget(payer);
    else await budgets.charge(payer, EVENT_POINTS);
    return undefined;
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}

export const chargeRejectedLogin = (budgets: EventBudgets, payer: Payer): void =>
  budgets.chargeAfterwards(payer, REJECTED_LOGIN_POINTS);

/** Waits after a refusal, so that a client that ignores it is slowed down. */
export async function pauseAfterRefusal({ details }: DomainError): Promise<void> {
  await pause(Math.min(details.retryAfterMs ?? 0, MAX_PAUSE_MS), undefined, { ref: false });
}
