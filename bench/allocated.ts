import type { Fixture } from './fixtures.ts';
import type { Receivers, RoundOptions } from './load-clients.ts';
import type { Probe } from './measure.ts';
import { median } from './measure.ts';
import { repeat } from './scale.ts';

/** So many that V8 has optimised the code before the bytes are counted. */
const WARM_UP: RoundOptions = { deliveries: repeat(100_000), ms: 10_000 };
const COUNTED: RoundOptions = { deliveries: repeat(50_000), ms: 10_000 };
const COUNTS = 3;
const WARM_UP_SENDS = repeat(2_000);
const SENDS = repeat(500);

/** Returns the bytes that a delivery allocates on the heap of the delivering process. */
export async function allocatedPerDelivery(receivers: Receivers, probe: Probe): Promise<number> {
  const bytes = (_pid: number, work: () => Promise<unknown>): Promise<number> => probe.allocatedDuring(work);
  await receivers.measure({ bytes }, WARM_UP);
  const counts = [];
  for (let count = 0; count < COUNTS; count += 1)
    counts.push((await receivers.measure({ bytes }, COUNTED)).bytes);
  return median(counts);
}

/** Returns the bytes that a send without receivers allocates on the server's heap. */
export async function allocatedPerSend({ server, send }: Fixture, text: string): Promise<number> {
  const sendAll = async (count: number): Promise<void> => {
    for (let sent = 0; sent < count; sent += 1) await send(text);
  };
  await sendAll(WARM_UP_SENDS);
  const counts = [];
  for (let count = 0; count < COUNTS; count += 1)
    counts.push((await server.probe.allocatedDuring(() => sendAll(SENDS))) / SENDS);
  return median(counts);
}
