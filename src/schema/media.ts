import { uploadMedia } from '../domain/media.ts';
import { requireMessage } from '../domain/messages.ts';
import { invalidInput } from '../errors.ts';
import { builder, perActor } from './builder.ts';
import { requireActor } from './context.ts';
import { requireId } from './global-id.ts';
import { Media, Message } from './refs.ts';

Media.implement({
  description: 'A file of a message, declared by `sendMessage` and uploaded afterwards.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Numeric id: `id` in `media_list` of Socket.IO clients.',
    }),
    identifier: t.exposeString('identifier', {
      description: 'Identifier that the sender passed in `files` of `sendMessage`.',
    }),
    filename: t.exposeString('filename', {
      nullable: true,
      description: 'File name without extension; null until uploaded.',
    }),
    extension: t.exposeString('extension', {
      nullable: true,
      description: 'File extension with its dot, for example `.png`; null until uploaded.',
    }),
    contentType: t.exposeString('contentType', {
      nullable: true,
      description: 'Media type, detected from the content; null until uploaded.',
    }),
    size: t.exposeFloat('size', {
      nullable: true,
      description: 'Size in bytes, an integer; null until uploaded.',
    }),
    uploaded: t.boolean({
      description: 'Whether the file has been uploaded.',
      resolve: ({ uploadedAt }) => uploadedAt !== null,
    }),
    uploadedAt: t.expose('uploadedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of the upload; null until uploaded.',
    }),
    url: t.string({
      nullable: true,
      description:
        'Path on this server to GET the file from, with the same `Authorization`; null until uploaded.',
      resolve: ({ id, uploadedAt }) => (uploadedAt === null ? null : `/media/${id}`),
    }),
    message: t.field({
      type: Message,
      nullable: true,
      ...perActor,
      description: 'The message of the file.',
      resolve: ({ message, messageId }, _args, context) =>
        message ?? requireMessage(context.deps, requireActor(context), messageId),
    }),
  }),
});

builder.mutationFields((t) => ({
  uploadMedia: t.field({
    type: Media,
    description:
      'Uploads a file of a message, like POST `/media/upload/<legacyId>`. A second upload replaces the first. Publishes `MediaUploaded`; the message is DONE after its last file. The sender of the message only, while participating. LIMIT_EXCEEDED if the file is too large. Errors: NOT_FOUND, FORBIDDEN, LIMIT_EXCEEDED, INVALID_INPUT, UNAVAILABLE.',
    args: {
      mediaId: t.arg.id({
        required: true,
        description:
          'Global id of a media returned by `sendMessage`. NOT_FOUND unless the caller participates in its conversation.',
      }),
      file: t.arg({ type: 'Upload', required: true, description: 'The file, of any type.' }),
    },
    resolve: (_root, { mediaId, file }, context) => {
      // It passes by once: a second field of the operation would store nothing, and call it whole.
      if (file.content.readableDidRead) throw invalidInput('file', 'The same file was passed twice.');
      return uploadMedia(context.deps, requireActor(context), {
        mediaId: requireId('Media', 'mediaId', mediaId),
        ...file,
      });
    },
  }),
}));
