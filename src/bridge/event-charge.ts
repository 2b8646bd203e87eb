import type { Payer } from '../actor.ts';
import { DomainError } from '../errors.ts';
import type { EventBudgets } from './deps.ts';

/** Points of an event, beside those of the operation that it may run. */
const EVENT_POINTS = 1;
/** Points of a rejected `authenticate`. */
const REJECTED_LOGIN_POINTS = 1;

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
