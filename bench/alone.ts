import { openPublisher } from './publisher.ts';
import type { Member } from './seed-accounts.ts';
import type { Server } from './server.ts';

/** A node without peers finds that after 15 s. */
const TIMEOUT_MS = 60_000;
/** A notice of a send may follow its result, and the next sends. */
const QUIET_SENDS = 100;

const SENT_NOTICES = /^parley_bus_messages_total\{direction="sent"\} (\d+)$/m;

/** Sends until the node has found that it has no peers, and no longer notifies them. Throws if it does not. */
export async function sendUntilAlone({ url }: Server, { token, conversation }: Member): Promise<void> {
  await using publisher = await openPublisher(url, token);
  const deadline = performance.now() + TIMEOUT_MS;
  const countNotices = async (): Promise<number> => {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const notices = Number(SENT_NOTICES.exec(metrics)?.[1]);
    if (Number.isNaN(notices)) throw new Error('The metrics have no count of sent notices.');
    return notices;
  };
  let before: number;
  let after = await countNotices();
  do {
    if (performance.now() > deadline)
      throw new Error(`The node still notifies others after ${TIMEOUT_MS} ms.`);
    before = after;
    for (let sent = 0; sent < QUIET_SENDS; sent += 1) await publisher.send(conversation, 'uncounted');
    after = await countNotices();
    // A starting node does not notify before it listens itself.
  } while (after === 0 || after !== before);
}
