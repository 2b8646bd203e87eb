import { DomainError, isOutage } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import { LegacyError } from './contract/channel-types.ts';
import type { Caller, Channel, Reply } from './contract/channel-types.ts';
import { CHANNELS, findErrorText } from './contract/channels.ts';
import { TimeoutError, withTimeout } from '../lib/timeout.ts';
import { hasField, parsePayload } from './contract/payload.ts';

const channelsByName = new Map(CHANNELS.map((channel) => [channel.name, channel]));

/** Returns the listened channel of that name; undefined if there is none. */
export const findChannel = (name: unknown): Channel | undefined =>
  typeof name === 'string' ? channelsByName.get(name) : undefined;

export interface DispatchOptions {
  readonly caller: Caller;
  readonly isLoggedIn: boolean;
  readonly timeoutMs: number;
  /** Called with an error that the channel does not define: a bug or an outage. */
  readonly onError: (error: unknown) => void;
  /** Called on a timeout. The work continues, and may still change the caller. */
  readonly onTimeout: () => void;
}

/** The reply to an event; with a code if it is an error. */
export interface Outcome extends Reply {
  readonly errorCode?: ErrorCode;
}

/** Runs a channel's handler on the argument of an event and returns its reply. Never throws: errors are replies too. */
export async function dispatch(
  channel: Channel,
  argument: unknown,
  { caller, isLoggedIn, timeoutMs, onError, onTimeout }: DispatchOptions,
): Promise<Outcome> {
  const payload = parsePayload(argument);
  const lacksRequiredField = channel.fields.some(
    ({ name, required }) => required && !hasField(payload, name),
  );
  try {
    if (channel.unauthenticatedError !== null && !isLoggedIn)
      throw new LegacyError(channel.unauthenticatedError, 'UNAUTHENTICATED');
    if (channel.missingFieldError !== null && lacksRequiredField)
      throw new LegacyError(channel.missingFieldError);
    return await withTimeout(timeoutMs, channel.run({ payload, caller }));
  } catch (error) {
    if (!(error instanceof DomainError || error instanceof LegacyError)) onError(error);
    if (error instanceof TimeoutError) onTimeout();
    return rejectEvent(channel, error);
  }
}

/** Returns the reply to an event that failed. */
export const rejectEvent = (channel: Channel, error: unknown): Outcome => ({
  errorCode: codeOf(error),
  frames: [{ channel: 'error', payload: findErrorText(channel, error) }],
});

function codeOf(error: unknown): ErrorCode {
  if (error instanceof DomainError || error instanceof LegacyError) return error.code;
  return error instanceof TimeoutError || isOutage(error) ? 'UNAVAILABLE' : 'INTERNAL';
}
