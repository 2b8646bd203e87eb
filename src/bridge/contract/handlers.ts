import { DomainError, forbidden, notFound } from '../../errors.ts';
import { circleTopic, conversationTopic } from '../../events/event.ts';
import { encodeGlobalId, parseId } from '../../ids.ts';
import type { Id } from '../../ids.ts';
import { LegacyError } from './channel-types.ts';
import type { Caller, ReadAccess, ReplayFrom, Reply, Request } from './channel-types.ts';
import { createFrame, encodeIceServer, encodeMedia } from './encoders.ts';
import type { Frame } from './encoders.ts';
import {
  LegacyCircleDocument,
  LegacyConversationDocument,
  LegacyCredentialsDocument,
  LegacyForwardDocument,
  LegacyMessageDocument,
  LegacyStunServersDocument,
  LegacyTurnServersDocument,
  LegacyWritingDocument,
} from './operations.generated.ts';
import type { SignalTarget } from './operations.generated.ts';
import { hasField, parseFiles, parseFlag, parseText } from './payload.ts';
import type { Payload } from './payload.ts';
import type { PayloadOn } from './frame-schemas.ts';

const successFrame = (payload: PayloadOn<'success'>): Frame => createFrame('success', payload);
const configFrame = (payload: PayloadOn<'webrtc_config'>): Frame => createFrame('webrtc_config', payload);

export async function authenticate({ payload, caller }: Request): Promise<Reply> {
  await caller.authenticate(payload['token']);
  return { frames: [successFrame('User authenticated')] };
}

export async function joinConversation({ payload, caller }: Request): Promise<Reply> {
  const replayFrom = parseReplayFrom(payload['after_message_id']);
  const id = requireId<'Conversation'>(payload['conversation_id']);
  const readAccess = async (): Promise<ReadAccess | null> => {
    const variables = { id: encodeGlobalId('Conversation', id), catchesUp: replayFrom !== undefined };
    const { conversation } = await caller.run(LegacyConversationDocument, variables);
    if (conversation === null) return null;
    const { eventCursor, messages } = conversation;
    return { cursor: eventCursor, newestMessageId: messages?.nodes[0]?.legacyId };
  };
  const replay = await caller.join(conversationTopic(id), readAccess, replayFrom);
  const frames = [successFrame(`Vous avez rejoins la conversation : conversation_${id}`)];
  return replay === undefined ? { frames } : { frames, replay };
}

function parseReplayFrom(value: unknown): ReplayFrom | undefined {
  if (value === undefined || value === null) return undefined;
  const afterMessageId = parseId(value);
  if (afterMessageId === undefined) throw new LegacyError('Parameter missing');
  return { afterMessageId };
}

export async function leaveConversation({ payload, caller }: Request): Promise<Reply> {
  const id = parseId<'Conversation'>(payload['conversation_id']);
  if (id !== undefined) caller.leave(conversationTopic(id));
  return { frames: [successFrame('Vous avez quitte la conversation')] };
}

export async function joinCircle({ payload, caller }: Request): Promise<Reply> {
  const id = requireId<'Circle'>(payload['circle_id']);
  await caller.join(circleTopic(id), async () => {
    const variables = { id: encodeGlobalId('Circle', id) };
    const { circle } = await caller.run(LegacyCircleDocument, variables);
    return circle && { cursor: circle.eventCursor };
  });
  return { frames: [successFrame(`Vous avez rejoins le cercle : circle_${id}`)] };
}

export async function leaveCircle({ payload, caller }: Request): Promise<Reply> {
  const id = parseId<'Circle'>(payload['circle_id']);
  if (id !== undefined) caller.leave(circleTopic(id));
  return { frames: [successFrame('Vous avez quitte le cercle')] };
}

export async function message({ payload, caller }: Request): Promise<Reply> {
  const files = parseFiles(payload['files']);
  if (files === undefined) throw new LegacyError('Parameter missing');
  const { message, media } = await sendMessage(payload, files, caller);
  const received = successFrame({ received: true, message_id: message.legacyId });
  if (files === null) return { frames: [received] };
  const list = media.map((file) => encodeMedia({ ...file, id: file.legacyId }));
  return { frames: [createFrame('media', { media_list: list, message_id: message.legacyId }), received] };
}

async function sendMessage(payload: Payload, files: readonly string[] | null, caller: Caller) {
  const id = requireId<'Conversation'>(payload['conversation_id']);
  const key = payload['client_message_id'];
  try {
    const { sendMessage } = await caller.run(LegacyMessageDocument, {
      conversationId: encodeGlobalId('Conversation', id),
      text: parseText(payload['text_message']),
      files: files === null ? null : [...files],
      idempotencyKey: key === undefined || key === null ? null : parseText(key),
    });
    return sendMessage;
  } catch (error) {
    // The operation fails with NOT_FOUND for an unknown conversation and for one of other accounts; legacy clients receive
    // different texts.
    const isHidden = error instanceof DomainError && error.code === 'NOT_FOUND';
    throw isHidden && (await caller.conversationExists(id)) ? forbidden('Not a participant.') : error;
  }
}

export async function writing({ payload, caller }: Request): Promise<Reply> {
  const id = requireId<'Conversation'>(payload['conversation_id']);
  await caller.run(LegacyWritingDocument, {
    conversationId: encodeGlobalId('Conversation', id),
    isTyping: parseFlag(payload['is_writing']),
  });
  return { frames: [successFrame('Writing sent')] };
}

export async function webrtcCredentials({ caller }: Request): Promise<Reply> {
  const { webrtc } = await caller.run(LegacyCredentialsDocument, {});
  const { username, password } = webrtc.credentials;
  return { frames: [configFrame({ username, password })] };
}

export async function webrtcStunInfo({ caller }: Request): Promise<Reply> {
  const { webrtc } = await caller.run(LegacyStunServersDocument, {});
  return { frames: [configFrame(webrtc.stunServers.flatMap(({ urls }) => urls.map(encodeIceServer)))] };
}

export async function webrtcTurnInfo({ caller }: Request): Promise<Reply> {
  const { webrtc } = await caller.run(LegacyTurnServersDocument, {});
  return { frames: [configFrame(webrtc.turnServers.flatMap(({ urls }) => urls.map(encodeIceServer)))] };
}

/** Replies after the signal was sent to the target. */
export async function webrtcForward({ payload, caller }: Request): Promise<Reply> {
  const to = requireTarget(payload);
  let isDelivered = false;
  try {
    await caller.run(LegacyForwardDocument, { to, content: payload });
    isDelivered = true;
  } finally {
    await caller.recordCallSignal({ to, content: payload, isDelivered });
  }
  return { frames: [successFrame('Message forwarded')] };
}

/** Returns the target of the first key that is present. Throws NOT_FOUND if its value is malformed. */
function requireTarget(payload: Payload): SignalTarget {
  const { email } = payload;
  if (hasField(payload, 'email')) {
    if (typeof email === 'string') return { email };
  } else if (hasField(payload, 'user_id')) {
    return { userId: encodeGlobalId('User', requireId(payload['user_id'])) };
  } else if (hasField(payload, 'device_id')) {
    return { deviceId: encodeGlobalId('Device', requireId(payload['device_id'])) };
  }
  throw notFound('The target');
}

/** Handles the channels that do nothing, as in the original Flask-SocketIO server. */
export async function ignore(): Promise<Reply> {
  return { frames: [] };
}

function requireId<Type extends string>(value: unknown): Id<Type> {
  const id = parseId<Type>(value);
  if (id === undefined) throw notFound('The id');
  return id;
}
