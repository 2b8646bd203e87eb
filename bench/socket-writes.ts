import type { Receivers } from './load-clients.ts';
import { median } from './measure.ts';
import type { Probe } from './measure.ts';
import { repeat } from './scale.ts';

const BURSTS = repeat(50);

/** Returns for each of some bursts the writes to a receiver's socket: most sockets are of receivers, so the median is. */
export async function writesOfBursts(receivers: Receivers, probe: Probe): Promise<readonly number[]> {
  const bursts = [];
  for (let count = 0; count < BURSTS; count += 1)
    bursts.push(median(await probe.writesDuring(() => receivers.deliverOnce())));
  return bursts;
}
