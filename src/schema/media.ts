import { uploadMedia } from '../domain/media.ts';
import { requireMessage } from '../domain/messages.ts';
import { invalidInput } from '../errors.ts';
import { builder, perActor } from './builder.ts';
import { requireActor } from './context.ts';
import { requireId } from './global-id.ts';
import { Media, Message } from './refs.ts';

Media.implement({
  description: 'A file of a message: announced when the message is sent, and uploaded afterwards.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Its number, which Socket.IO clients know as `id` in a `media_list`.',
    }),
    identifier: t.exposeString('identifier', {
      description: 'What the sender called it in `files` of `sendMessage`.',
    }),
    filename: t.exposeString('filename', {
      nullable: true,
      description: 'Name of the uploaded file, without its extension; null until it has arrived.',
    }),
    extension: t.exposeString('extension', {
      nullable: true,
      description: 'Extension of the uploaded file with its dot, as in `.png`; null until it has arrived.',
    }),
    contentType: t.exposeString('contentType', {
      nullable: true,
      description: 'Media type, as found out from the first bytes of the file; null until it has arrived.',
    }),
    size: t.exposeFloat('size', {
      nullable: true,
      description: 'Size in bytes, a whole number; null until it has arrived.',
    }),
    uploaded: t.boolean({
      description: 'Whether the file has arrived.',
      resolve: ({ uploadedAt }) => uploadedAt !== null,
    }),
    uploadedAt: t.expose('uploadedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the file arrived; null until then.',
    }),
    url: t.string({
      nullable: true,
      description:
        'Path on this server to GET the file from, with the same `Authorization` as here; null until it has arrived.',
      resolve: ({ id, uploadedAt }) => (uploadedAt === null ? null : `/media/${id}`),
    }),
    message: t.field({
      type: Message,
      nullable: true,
      ...perActor,
      description: 'The message that it belongs to.',
      resolve: ({ message, messageId }, _args, context) =>
        message ?? requireMessage(context.deps, requireActor(context), messageId),
    }),
  }),
});

builder.mutationFields((t) => ({
  uploadMedia: t.field({
    type: Media,
    description:
      'Uploads a file that one of your messages announced; the same as POST `/media/upload/<legacyId>`. A second upload replaces the first. Readers get `MediaUploaded` for each file; with the last one the message is DONE. FORBIDDEN unless you sent the message and still take part, LIMIT_EXCEEDED when the file is too large.',
    args: {
      mediaId: t.arg.id({
        required: true,
        description:
          'Which one, of those that `sendMessage` answered. NOT_FOUND unless you take part in its conversation.',
      }),
      file: t.arg({ type: 'Upload', required: true, description: 'The file. No type is refused.' }),
    },
    resolve: (_root, { mediaId, file }, context) => {
      // It passes by once: a second field of the operation would store nothing, and call it whole.
      if (file.content.readableDidRead) throw invalidInput('file', 'The file was used before.');
      return uploadMedia(context.deps, requireActor(context), {
        mediaId: requireId('Media', 'mediaId', mediaId),
        ...file,
      });
    },
  }),
}));
