import { DomainError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { LegacyError } from './contract/channel-types.ts';
import type { Caller, Channel, Reply } from './contract/channel-types.ts';
import { CHANNELS, refusalOf } from './contract/channels.ts';
import { TimeoutError, withTimeout } from '../lib/timeout.ts';
import { hasField, parsePayload } from './contract/payload.ts';

const channels = new Map(CHANNELS.map((channel) => [channel.name, channel]));

/** The listened channel of that name; undefined for what the contract does not know. */
export const channelOf = (name: unknown): Channel | undefined =>
  typeof name === 'string' ? channels.get(name) : undefined;

export interface Dispatch {
  readonly caller: Caller;
  readonly isLoggedIn: boolean;
  readonly deadlineMs: number;
  readonly log: Logger;
  /** Called when the work is given up: it goes on, and may yet change the caller. */
  readonly onLate: () => void;
}

/** Runs a row of the table on what a client sent, and answers what the client is told. Never throws. */
export async function dispatch(channel: Channel, argument: unknown, dispatch: Dispatch): Promise<Reply> {
  const { caller, isLoggedIn, deadlineMs, log, onLate } = dispatch;
  const payload = parsePayload(argument);
  const lacks = channel.fields.some(({ name, required }) => required && !hasField(payload, name));
  try {
    if (channel.anonymous !== null && !isLoggedIn) throw new LegacyError(channel.anonymous);
    if (channel.missing !== null && lacks) throw new LegacyError(channel.missing);
    return await withTimeout(deadlineMs, channel.run({ payload, caller }));
  } catch (error) {
    const foreseen = error instanceof DomainError || error instanceof LegacyError;
    if (!foreseen) log.error({ err: error, channel: channel.name }, 'an event of a legacy client failed');
    if (error instanceof TimeoutError) onLate();
    return { frames: [{ channel: 'error', payload: refusalOf(channel, error) }] };
  }
}
