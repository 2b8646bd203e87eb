import type { DomainEvent, Ephemeral } from '../../events/event.ts';
import {
  createFrame,
  encodeCircleEvent,
  encodeConversationEvent,
  encodeDeviceEvent,
  encodeForwarded,
  encodeMediaUploaded,
  encodeMessageChanged,
  encodeMessageSent,
  encodePresence,
  encodeWriting,
} from './encoders.ts';
import type { Frame } from './encoders.ts';

/** Returns the frames of an event. Its topic determines the receivers. */
export function framesOf(event: DomainEvent): readonly Frame[] {
  switch (event.type) {
    case 'message.sent':
      return [encodeMessageSent(event)];
    case 'message.updated':
      return [encodeMessageChanged(event.message.conversationId, event.message.id, 'update')];
    case 'message.deleted':
      return [encodeMessageChanged(event.conversationId, event.messageId, 'delete')];
    case 'media.uploaded':
      return [encodeMediaUploaded(event)];
    case 'conversation.updated':
      if (event.changed !== undefined) return [];
      return [encodeConversationEvent(event.conversation.id, { event: 'update' })];
    case 'participant.left':
      return [
        encodeConversationEvent(event.participant.conversationId, { event: 'quit', user: event.user.email }),
      ];
    case 'participant.kicked': {
      const fields = { event: 'kick', user: event.user.email, from: event.by.email } as const;
      return [encodeConversationEvent(event.participant.conversationId, fields)];
    }
    case 'device-access.changed': {
      // The removal of a device has a frame in the room of its circle only (`device.removed`).
      if (event.removed) return [];
      const fields = { event: 'device', type: event.allowed ? 'add' : 'remove' } as const;
      return [encodeConversationEvent(event.conversation.id, fields)];
    }
    case 'circle.updated':
      return [encodeCircleEvent(event.circle.id, { event: 'update' })];
    case 'circle.deleted':
      return [encodeCircleEvent(event.circle.id, { event: 'delete' })];
    case 'member.joined':
      return [encodeCircleEvent(event.circleId, { event: 'join', user: event.user.email })];
    case 'member.left':
      return [encodeCircleEvent(event.circleId, { event: 'quit', user: event.user.email })];
    case 'member.kicked':
      return [
        encodeCircleEvent(event.circleId, { event: 'kick', user: event.user.email, from: event.by.email }),
      ];
    case 'device.added':
      return [createFrame('device created', { circle_id: event.device.circleId })];
    case 'device.updated':
      return [encodeDeviceEvent(event.device.circleId, event.device.id, 'update')];
    case 'device.removed':
      return event.online ? [encodeDeviceEvent(event.device.circleId, event.device.id, 'disconnect')] : [];
    case 'circle.invited': {
      const { circleId, id } = event.invitation;
      return [createFrame('circle_invite', { event: 'invite', circle_id: circleId, circle_invite_id: id })];
    }
    case 'conversation.invited':
      return [encodeConversationEvent(event.conversation.id, { event: 'invite' })];
    case 'conversation.promoted':
      return [encodeConversationEvent(event.conversation.id, { event: 'promoted' })];
    // Legacy clients receive no frames for these.
    case 'participant.joined':
    case 'participant.promoted':
    case 'conversation.deleted':
    case 'call.started':
    case 'call.participant-joined':
    case 'call.participant-left':
    case 'call.ended':
    case 'read-state.changed':
    case 'session.ended':
    case 'account.deleted':
      return [];
  }
}

/** The channels on which a client receives a forwarded payload, in order: see `selectForwardChannels` of the connection. */
export type ForwardChannels = readonly ('webrtc_forward' | 'webrtc_config')[];

/** Returns the frames of an ephemeral event; those of a signal go out on the channels of `forward`. */
export function framesOfEphemeral(ephemeral: Ephemeral, forward: ForwardChannels): readonly Frame[] {
  const id = Number(ephemeral.topic.slice(ephemeral.topic.indexOf(':') + 1));
  switch (ephemeral.type) {
    case 'typing':
      return [encodeWriting(id, ephemeral.actor, ephemeral.isTyping)];
    case 'presence':
      return [encodePresence(id, ephemeral.actor, ephemeral.online)];
    case 'signal': {
      const payload = encodeForwarded(ephemeral.sender, ephemeral.content);
      return forward.map((channel) => createFrame(channel, payload));
    }
    case 'media-inspected':
    case 'read-receipt':
      return [];
  }
}
