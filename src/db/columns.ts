// Every column is named: once a newer node adds a column, the row type of a prepared `select *` changes, and PostgreSQL
// rejects it ("cached plan must not change result type").

export const USER_COLUMNS = [
  'users.id',
  'users.email',
  'users.firstName',
  'users.lastName',
  'users.birthday',
  'users.createdAt',
  'users.updatedAt',
] as const;

export const DEVICE_COLUMNS = [
  'devices.id',
  'devices.circleId',
  'devices.name',
  'devices.username',
  'devices.activated',
  'devices.createdAt',
  'devices.updatedAt',
] as const;

export const CIRCLE_COLUMNS = [
  'circles.id',
  'circles.name',
  'circles.createdAt',
  'circles.updatedAt',
] as const;

export const MEMBERSHIP_COLUMNS = [
  'memberships.id',
  'memberships.circleId',
  'memberships.userId',
  'memberships.role',
  'memberships.createdAt',
  'memberships.updatedAt',
] as const;

export const INVITATION_COLUMNS = [
  'invitations.id',
  'invitations.circleId',
  'invitations.userId',
  'invitations.invitedById',
  'invitations.createdAt',
] as const;

export const CONVERSATION_COLUMNS = [
  'conversations.id',
  'conversations.circleId',
  'conversations.name',
  'conversations.deviceAccess',
  'conversations.readReceipts',
  'conversations.createdAt',
  'conversations.updatedAt',
] as const;

export const PARTICIPANT_COLUMNS = [
  'participants.id',
  'participants.conversationId',
  'participants.userId',
  'participants.role',
  'participants.createdAt',
  'participants.updatedAt',
] as const;

export const MESSAGE_COLUMNS = [
  'messages.id',
  'messages.conversationId',
  'messages.authorUserId',
  'messages.authorDeviceId',
  'messages.participantId',
  'messages.text',
  'messages.status',
  'messages.mediaCount',
  'messages.sentAt',
  'messages.updatedAt',
] as const;

export const MEDIA_COLUMNS = [
  'media.id',
  'media.messageId',
  'media.identifier',
  'media.filename',
  'media.extension',
  'media.contentType',
  'media.size',
  'media.uploadedAt',
] as const;
