import { setTimeout as pause } from 'node:timers/promises';
import { createDeliveryLog } from './delivery-log.ts';
import type { DeliveryLog, FaultCounts } from './delivery-log.ts';
import { countFaults, createStart } from './load.ts';
import { Movements } from './movements.ts';
import type { Start } from './readers.ts';
import { listClientKinds } from './stock-clients.ts';
import { createTestAccounts } from './test-accounts.ts';
import type { TestAccounts } from './test-accounts.ts';
import { writeByGraphql } from './writers.ts';

const CLIENTS_PER_CONVERSATION = 250;
const WRITE_PAUSE_MS = 2_000;
/** Clients that connect per second at the start. */
const CONNECTS_PER_SECOND = 250;

interface Conversation {
  readonly accounts: TestAccounts;
  readonly deliveryLog: DeliveryLog;
  readonly start: Start;
}

/** Many clients of all kinds, in conversations in which a member writes a message every two seconds. */
export interface Crowd extends AsyncDisposable {
  readonly movements: Movements;
  /** Stops the writers, and counts what is wrong once everything has arrived. */
  finish(): Promise<FaultCounts>;
}

export interface CrowdOptions {
  /** Returns the address for each client. Default: the same. */
  readonly urlOf?: (client: number) => string;
  readonly isUnstable?: boolean;
}

/** Opens the clients. */
export async function openCrowd(
  url: string,
  clients: number,
  { urlOf = () => url, isUnstable = false }: CrowdOptions = {},
): Promise<Crowd> {
  const conversations: Conversation[] = [];
  for (let index = 0; index < Math.ceil(clients / CLIENTS_PER_CONVERSATION); index += 1) {
    const accounts = await createTestAccounts(url);
    conversations.push({ accounts, deliveryLog: createDeliveryLog(), start: await createStart(accounts) });
  }
  const movements = new Movements();
  const kinds = listClientKinds();
  await using stack = new AsyncDisposableStack();
  for (let client = 0; client < clients; client += 1) {
    const { accounts, deliveryLog, start } = conversations[client % conversations.length] as Conversation;
    const { kind, open } = kinds[Math.floor(client / conversations.length) % kinds.length] ?? {};
    const received = deliveryLog.addReader(`${kind ?? ''} ${client}`);
    // Not back before it is live.
    movements.lost(received);
    const options = { accounts: { ...accounts, url: urlOf(client) }, start, received, movements, isUnstable };
    stack.defer(open?.(options) ?? (() => undefined));
    await pause(1_000 / CONNECTS_PER_SECOND);
  }
  await waitUntilBack(movements);
  movements.take(0);
  let isOver = false;
  async function* generateTexts(): AsyncGenerator<string> {
    for (let index = 0; !isOver; index += 1) {
      yield `text ${index}`;
      await pause(WRITE_PAUSE_MS);
    }
  }
  const writers = conversations.map(({ accounts, deliveryLog }) =>
    writeByGraphql(accounts, deliveryLog, generateTexts()),
  );
  const owned = stack.move();
  return {
    movements,
    async finish() {
      isOver = true;
      await Promise.all(writers);
      const counts = await Promise.all(
        conversations.map(({ accounts, start, deliveryLog }) => countFaults(accounts, start, deliveryLog)),
      );
      return counts.reduce(addCounts);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const BACK_TIMEOUT_MS = 120_000;

/** Resolves when every client is back. Throws if they are not in time. */
export async function waitUntilBack(movements: Movements): Promise<void> {
  for (const deadline = performance.now() + BACK_TIMEOUT_MS; movements.away.length > 0;) {
    if (performance.now() > deadline) throw new Error(`Did not come back: ${movements.away.join(', ')}`);
    await pause(20);
  }
}

const addCounts = (a: FaultCounts, b: FaultCounts): FaultCounts => ({
  acknowledged: a.acknowledged + b.acknowledged,
  delivered: a.delivered + b.delivered,
  lost: a.lost + b.lost,
  duplicated: a.duplicated + b.duplicated,
  reordered: a.reordered + b.reordered,
  leaked: a.leaked + b.leaked,
});
