import { EVENT_SAMPLES } from '../../scripts/legacy-samples.ts';
import type { DomainEvent } from '../../src/events/event.ts';

/** Returns the first sample of an event type. */
export function sampleEvent<Type extends DomainEvent['type']>(
  type: Type,
): (typeof EVENT_SAMPLES)[Type][number]['event'] {
  const [first] = EVENT_SAMPLES[type];
  if (first === undefined) throw new Error(`There is no sample of ${type}.`);
  return first.event;
}

/** Creates a `message.sent` event with this text. */
export function createMessageSent(text: string, conversationId = 12): DomainEvent {
  const event = sampleEvent('message.sent');
  const id = conversationId as typeof event.message.conversationId;
  return { ...event, message: { ...event.message, text, conversationId: id } };
}

/** Creates a `participant.kicked` event of a user in conversation 12. */
export function createKick(userId: number): DomainEvent {
  const event = sampleEvent('participant.kicked');
  return { ...event, user: { ...event.user, id: userId as typeof event.user.id } };
}
