import type { DomainEvent, Ephemeral } from '../../events/event.ts';
import {
  circleFrame,
  conversationFrame,
  deviceFrame,
  forwardPayload,
  frame,
  mediaUploaded,
  messageChanged,
  messageSent,
  presenceFrame,
  writing,
} from './encoders.ts';
import type { Frame } from './encoders.ts';

/** Returns the frames of an event. Its topic determines the receivers. */
export function framesOf(event: DomainEvent): readonly Frame[] {
  switch (event.type) {
    case 'message.sent':
      return [messageSent(event)];
    case 'message.updated':
      return [messageChanged(event.message.conversationId, event.message.id, 'update')];
    case 'message.deleted':
      return [messageChanged(event.conversationId, event.messageId, 'delete')];
    case 'media.uploaded':
      return [mediaUploaded(event)];
    case 'conversation.updated':
      return [conversationFrame(event.conversation.id, { event: 'update' })];
    case 'participant.left':
      return [conversationFrame(event.participant.conversationId, { event: 'quit', user: event.user.email })];
    case 'participant.kicked': {
      const fields = { event: 'kick', user: event.user.email, from: event.by.email } as const;
      return [conversationFrame(event.participant.conversationId, fields)];
    }
    case 'device-access.changed': {
      // Decision 18: conversation rooms receive no frame for a removal.
      if (event.removed) return [];
      const fields = { event: 'device', type: event.allowed ? 'add' : 'remove' } as const;
      return [conversationFrame(event.conversation.id, fields)];
    }
    case 'circle.updated':
      return [circleFrame(event.circle.id, { event: 'update' })];
    case 'circle.deleted':
      return [circleFrame(event.circle.id, { event: 'delete' })];
    case 'member.joined':
      return [circleFrame(event.circleId, { event: 'join', user: event.user.email })];
    case 'member.left':
      return [circleFrame(event.circleId, { event: 'quit', user: event.user.email })];
    case 'member.kicked':
      return [circleFrame(event.circleId, { event: 'kick', user: event.user.email, from: event.by.email })];
    case 'device.added':
      return [frame('device created', { circle_id: event.device.circleId })];
    case 'device.updated':
      return [deviceFrame(event.device.circleId, event.device.id, 'update')];
    case 'device.removed':
      return event.online ? [deviceFrame(event.device.circleId, event.device.id, 'disconnect')] : [];
    case 'circle.invited': {
      const { circleId, id } = event.invitation;
      return [frame('circle_invite', { event: 'invite', circle_id: circleId, circle_invite_id: id })];
    }
    case 'conversation.invited':
      return [conversationFrame(event.conversation.id, { event: 'invite' })];
    case 'conversation.promoted':
      return [conversationFrame(event.conversation.id, { event: 'promoted' })];
    // The contract has no frames for these.
    case 'participant.joined':
    case 'participant.promoted':
    case 'conversation.deleted':
    case 'session.ended':
    case 'account.deleted':
      return [];
  }
}

/** The channels on which a client receives a forwarded payload, in order (decision 1). */
export type ForwardChannels = readonly ('webrtc_forward' | 'webrtc_config')[];

/** Returns the frames of an ephemeral event; those of a signal go out on the channels of `forward`. */
export function framesOfEphemeral(ephemeral: Ephemeral, forward: ForwardChannels): readonly Frame[] {
  const id = Number(ephemeral.topic.slice(ephemeral.topic.indexOf(':') + 1));
  switch (ephemeral.type) {
    case 'typing':
      return [writing(id, ephemeral.actor, ephemeral.isTyping)];
    case 'presence':
      return [presenceFrame(id, ephemeral.actor, ephemeral.online)];
    case 'signal': {
      const payload = forwardPayload(ephemeral.sender, ephemeral.content);
      return forward.map((channel) => frame(channel, payload));
    }
  }
}
