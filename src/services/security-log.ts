import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import { LineLimit } from '../lib/line-limit.ts';
import type { StartTimer } from '../lib/timeout.ts';
import type { Topic } from '../events/event.ts';
import type { Logger } from '../log.ts';

/** Events of the security log, and whether each is a warning. Documented in docs/operations/security.md. */
export const SECURITY_EVENTS = {
  'account created': 'info',
  'account deleted': 'info',
  'login succeeded': 'info',
  'login failed': 'warn',
  'login refused': 'warn',
  'login delayed': 'warn',
  'password check failed': 'warn',
  'password changed': 'info',
  'e-mail changed': 'info',
  'e-mail verified': 'info',
  'logged out': 'info',
  'sessions ended': 'info',
  'token refused': 'warn',
  'operator refused': 'warn',
  'operator action': 'info',
  'token reused': 'warn',
  'device added': 'info',
  'device removed': 'info',
  'member kicked': 'info',
  'participant kicked': 'info',
  'role changed': 'info',
  'limit reached': 'warn',
} as const satisfies Record<string, 'info' | 'warn'>;

export type SecurityEvent = keyof typeof SECURITY_EVENTS;

/** Never a token, a password, or text that a stranger chose: an attempt on an unknown name has no account. */
export interface SecurityFields {
  readonly account?: ActorRef | undefined;
  /** The user who did it, if it was done to another account. */
  readonly by?: ActorRef | undefined;
  /** The circle or conversation. */
  readonly topic?: Topic | undefined;
  readonly address?: string | undefined;
  /** The limit of `limit reached` and `login delayed`; the action and its outcome of `operator action`. */
  readonly detail?: string | undefined;
}

/** Records what happens to accounts and sessions, as log lines with `security: true`. */
export interface SecurityLog extends Disposable {
  record(event: SecurityEvent, fields?: SecurityFields): void;
}

export interface SecurityLogOptions {
  readonly log: Logger;
  /** Called for each event. */
  readonly count?: (event: SecurityEvent) => void;
  readonly startTimer?: StartTimer | undefined;
}

/** Bounds the log and the memory under attack. */
const MAX_LINES_PER_EVENT = 60;

interface Entry {
  readonly event: SecurityEvent;
  readonly fields: SecurityFields;
  /** Occurrences since the line was logged. */
  repeats: number;
}

/**
 * Creates the security log of a node. In each minute it logs the first occurrence of an event with the same fields
 * immediately, and the number of further ones at the end. An event with more than 60 different fields is only counted
 * from there on.
 */
export function createSecurityLog({ log, count, startTimer }: SecurityLogOptions): SecurityLog {
  const entries = new Map<string, Entry>();
  const write = (
    event: SecurityEvent,
    { account, by, ...fields }: SecurityFields,
    repeats?: number,
  ): void => {
    const line = {
      security: true,
      event,
      ...(account !== undefined && { account: actorKey(account) }),
      ...(by !== undefined && { by: actorKey(by) }),
      ...fields,
      ...(repeats !== undefined && { repeats }),
    };
    log[SECURITY_EVENTS[event]](line, 'security event');
  };
  const limit = new LineLimit<SecurityEvent>({
    maxLines: MAX_LINES_PER_EVENT,
    startTimer,
    onWindowEnd(dropped) {
      for (const { event, fields, repeats } of entries.values())
        if (repeats > 0) write(event, fields, repeats);
      for (const [event, repeats] of dropped) write(event, {}, repeats);
      entries.clear();
    },
  });

  return {
    record(event, fields = {}) {
      count?.(event);
      const { account, by, address, topic, detail } = fields;
      const key = [event, account && actorKey(account), by && actorKey(by), address, topic, detail].join(' ');
      const entry = entries.get(key);
      if (entry !== undefined) {
        entry.repeats += 1;
      } else if (limit.admit(event)) {
        entries.set(key, { event, fields, repeats: 0 });
        write(event, fields);
      }
    },
    [Symbol.dispose]: () => limit[Symbol.dispose](),
  };
}
