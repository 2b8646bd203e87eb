import { actorKey } from '../actor.ts';
import type { ActorKey, ActorRef } from '../actor.ts';
import type { Bus, Listener } from '../events/bus.ts';
import { accessEndReason, actorRefOf } from '../events/event.ts';
import type { Ephemeral, Topic } from '../events/event.ts';

export type Typing = Extract<Ephemeral, { type: 'typing' }>;

/** Publishes `isTyping: false` for clients that stop typing without publishing it. */
export interface TypingExpiry extends Disposable {
  /** Called when this node publishes a change. It then also publishes the expiry, to every node. */
  onPublished(typing: Typing): void;
  /** Called when another node publishes a change. If that node dies, this one publishes the expiry locally. */
  readonly onReceived: Listener;
  /** Ends whatever this node published for an actor. */
  endAll(actor: ActorRef): void;
}

/** Clients repeat `isTyping: true` while the user types; without a repetition it ends after this time. */
const TIMEOUT_MS = 15_000;
/** Added for other nodes' typing, so that the publishing node ends it first. */
const REMOTE_MARGIN_MS = 5_000;
/** Beyond it, the oldest entry ends early. */
const MAX_ENTRIES = 10_000;

interface Entry {
  readonly typing: Typing;
  readonly isLocal: boolean;
  readonly release: () => void;
}

export function createTypingExpiry({ bus }: { readonly bus: Bus }): TypingExpiry {
  const byActor = new Map<ActorKey, Map<Topic, Entry>>();
  let count = 0;

  const remove = (actor: ActorKey, topic: Topic): Entry | undefined => {
    const entries = byActor.get(actor);
    const entry = entries?.get(topic);
    if (entries === undefined || entry === undefined) return undefined;
    entries.delete(topic);
    if (entries.size === 0) byActor.delete(actor);
    count -= 1;
    entry.release();
    return entry;
  };
  const end = (actor: ActorKey, topic: Topic): void => {
    const entry = remove(actor, topic);
    if (entry === undefined) return;
    const notice = { kind: 'ephemeral', ephemeral: { ...entry.typing, isTyping: false } } as const;
    if (entry.isLocal) bus.publish([notice]);
    else bus.receive(notice);
  };
  const track = (typing: Typing, isLocal: boolean): void => {
    const { topic, actor } = typing;
    const key = actorKey(actorRefOf(actor));
    remove(key, topic);
    if (!typing.isTyping) return;
    const timer = setTimeout(() => end(key, topic), isLocal ? TIMEOUT_MS : TIMEOUT_MS + REMOTE_MARGIN_MS);
    timer.unref();
    const unsubscribe = bus.subscribe(topic, (notice) => {
      if (notice.kind !== 'event' || accessEndReason(actorRefOf(actor), notice.envelope.event) === undefined)
        return;
      // Deferred: subscribers must receive the event that removed the actor before the end of its typing.
      setImmediate(() => end(key, topic));
    });
    const release = (): void => {
      clearTimeout(timer);
      unsubscribe();
    };
    const entries = byActor.get(key) ?? new Map<Topic, Entry>();
    byActor.set(key, entries.set(topic, { typing, isLocal, release }));
    count += 1;
    if (count > MAX_ENTRIES) endOldest();
  };
  const endOldest = (): void => {
    for (const [actor, entries] of byActor) for (const topic of entries.keys()) return end(actor, topic);
  };

  return {
    onPublished: (typing) => track(typing, true),
    onReceived(notice) {
      if (notice.kind === 'ephemeral' && notice.ephemeral.type === 'typing') track(notice.ephemeral, false);
    },
    endAll(actor) {
      const key = actorKey(actor);
      for (const [topic, { isLocal }] of byActor.get(key) ?? []) if (isLocal) end(key, topic);
    },
    [Symbol.dispose]() {
      for (const [actor, entries] of byActor) for (const topic of entries.keys()) remove(actor, topic);
    },
  };
}
