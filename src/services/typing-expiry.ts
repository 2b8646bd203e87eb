import type { Bus, Listener } from '../events/bus.ts';
import { accessEndReason, refOf } from '../events/event.ts';
import type { Ephemeral, Topic } from '../events/event.ts';
import type { ActorKey, ActorRef } from '../actor.ts';
import { actorKey } from '../actor.ts';

export type Typing = Extract<Ephemeral, { type: 'typing' }>;

/** Publishes the end of typing that no client ends (contract decision 21). */
export interface TypingExpiry extends Disposable {
  /** This node published it: it repeats the end to every node. */
  published(typing: Typing): void;
  /** Another node published it: if that node dies, its end is told to the readers of this one. */
  readonly received: Listener;
  /** Ends what this node published for an account. */
  end(account: ActorRef): void;
}

export interface TypingExpiryOptions {
  readonly bus: Bus;
  /** Typing that is not repeated for so long has ended. */
  readonly timeoutMs?: number;
}

const SILENCE_MS = 15_000;
/** The node that published it ends it first. */
const PATIENCE_MS = 5_000;
/** Beyond it, the typing that began first ends. */
const MAX_TYPING = 10_000;

interface Entry {
  readonly typing: Typing;
  readonly isOwn: boolean;
  readonly release: () => void;
}

export function createTypingExpiry({ bus, timeoutMs = SILENCE_MS }: TypingExpiryOptions): TypingExpiry {
  const byAccount = new Map<ActorKey, Map<Topic, Entry>>();
  let count = 0;

  const forget = (account: ActorKey, topic: Topic): Entry | undefined => {
    const entries = byAccount.get(account);
    const entry = entries?.get(topic);
    if (entries === undefined || entry === undefined) return undefined;
    entries.delete(topic);
    if (entries.size === 0) byAccount.delete(account);
    count -= 1;
    entry.release();
    return entry;
  };
  const finish = (account: ActorKey, topic: Topic): void => {
    const entry = forget(account, topic);
    if (entry === undefined) return;
    const notice = { kind: 'ephemeral', ephemeral: { ...entry.typing, isTyping: false } } as const;
    if (entry.isOwn) bus.publish([notice]);
    else bus.receive(notice);
  };
  const keep = (typing: Typing, isOwn: boolean): void => {
    const { topic, actor } = typing;
    const account = actorKey(refOf(actor));
    forget(account, topic);
    if (!typing.isTyping) return;
    const timer = setTimeout(() => finish(account, topic), isOwn ? timeoutMs : timeoutMs + PATIENCE_MS);
    timer.unref();
    const unsubscribe = bus.subscribe(topic, (notice) => {
      if (notice.kind !== 'event' || accessEndReason(refOf(actor), notice.envelope.event) === undefined)
        return;
      // After the event that says so.
      setImmediate(() => finish(account, topic));
    });
    const release = (): void => {
      clearTimeout(timer);
      unsubscribe();
    };
    const entries = byAccount.get(account) ?? new Map<Topic, Entry>();
    byAccount.set(account, entries.set(topic, { typing, isOwn, release }));
    count += 1;
    if (count > MAX_TYPING) finishFirst();
  };
  const finishFirst = (): void => {
    for (const [account, entries] of byAccount)
      for (const topic of entries.keys()) return finish(account, topic);
  };

  return {
    published: (typing) => keep(typing, true),
    received(notice) {
      if (notice.kind === 'ephemeral' && notice.ephemeral.type === 'typing') keep(notice.ephemeral, false);
    },
    end(actor) {
      const account = actorKey(actor);
      for (const [topic, { isOwn }] of byAccount.get(account) ?? []) if (isOwn) finish(account, topic);
    },
    [Symbol.dispose]() {
      for (const [account, entries] of byAccount) for (const topic of entries.keys()) forget(account, topic);
    },
  };
}
