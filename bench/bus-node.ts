// A node of bench/bus.ts: a bus over an empty database, without clients.
import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { openDatabase } from '../src/db/database.ts';
import { createEventLog } from '../src/db/event-log.ts';
import type { Notifier, NotifierOptions } from '../src/db/notifier.ts';
import { openPostgresNotifier } from '../src/db/notify.ts';
import { createBus } from '../src/events/bus.ts';
import type { Notice } from '../src/events/bus.ts';
import { connectCluster } from '../src/events/cluster/cluster.ts';
import { openRedisNotifier } from '../src/events/cluster/redis.ts';
import { conversationTopic } from '../src/events/event.ts';
import { createTails } from '../src/events/tail.ts';
import type { ConversationId } from '../src/ids.ts';
import { createLogger } from '../src/log.ts';
import { createMessageSent } from '../test/harness/event-core.ts';

export interface NodeSettings {
  readonly databaseUrl: string;
  readonly redisUrl?: string | undefined;
  /** 1: all notices on the common channel, as before shards. */
  readonly shards: number;
  /** Conversations that the node follows, from the first id on. */
  readonly follows: { readonly first: number; readonly count: number };
}

/** Publishes so many events of these conversations, 20 each 5 ms. */
export interface PublishCommand {
  readonly events: number;
  readonly topics: readonly number[];
}

const TEXT = 'x'.repeat(200);

async function startNode({ databaseUrl, redisUrl, shards, follows }: NodeSettings) {
  const log = createLogger('error');
  const { db, epoch } = await openDatabase({ kind: 'postgres', url: databaseUrl }, log);
  const bus = createBus(log);
  const tails = createTails({
    eventLog: createEventLog(db),
    bus,
    log,
    epoch: { current: epoch },
    ownAppends: { newest: undefined },
  });
  const open = async (options: NotifierOptions): Promise<Notifier> => {
    const notifier = await (redisUrl === undefined
      ? openPostgresNotifier(options)
      : openRedisNotifier(options));
    return Object.create(notifier, { shards: { value: shards } }) as Notifier;
  };
  await connectCluster({
    url: redisUrl ?? databaseUrl,
    open,
    nodeId: randomUUID(),
    bus,
    tails,
    log,
    unknownPeersMs: shards === 1 ? Infinity : 0,
  });
  let received = 0;
  for (let id = follows.first; id < follows.first + follows.count; id += 1)
    bus.subscribe(conversationTopic(id as ConversationId), () => void (received += 1));
  const last = conversationTopic((follows.first + follows.count - 1) as ConversationId);
  await bus.whenFollowed(last);
  return { bus, received: () => received };
}

const settings = JSON.parse(process.argv[2] ?? '{}') as NodeSettings;
const { bus, received } = await startNode(settings);

async function publish({ events, topics }: PublishCommand): Promise<void> {
  for (let from = 0; from < events; from += 20) {
    const notices = Array.from({ length: 20 }, (_, index): Notice => {
      const id = topics[(from + index) % topics.length] ?? 0;
      const event = createMessageSent(from + index, TEXT);
      const topic = conversationTopic(id as ConversationId);
      return { kind: 'event', envelope: { topic, seq: from + index, at: '2026-01-01T00:00:00.000Z', event } };
    });
    bus.publish(notices);
    await pause(5);
  }
}

process.on('message', (command: PublishCommand | 'received') => {
  if (command === 'received') process.send?.(received());
  else void publish(command).then(() => process.send?.('published'));
});
process.on('disconnect', () => process.exit());
process.send?.('started');
