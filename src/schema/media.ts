import { finishDirectUpload, resumeDirectUpload, startDirectUpload } from '../domain/direct-uploads.ts';
import type {
  DirectUpload as DirectUploadModel,
  PartUpload as PartUploadModel,
} from '../domain/direct-uploads.ts';
import { signMediaUrl } from '../domain/media-downloads.ts';
import { uploadMedia } from '../domain/media.ts';
import { openMediaInspections } from '../domain/media-inspections.ts';
import { requireMessage } from '../domain/messages.ts';
import { invalidInput } from '../errors.ts';
import { builder, perActor } from './builder.ts';
import { LONG_TEXT_COST } from './complexity.ts';
import { countText, requireActor, requireSession } from './context.ts';
import type { Context } from './context.ts';
import { requireId } from './global-id.ts';
import { Media, Message } from './refs.ts';
import type { MediaSource } from './refs.ts';

Media.implement({
  description: 'A file of a message: declared when the message is sent, and uploaded afterwards.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Numeric id. Socket.IO clients receive it as `id` in a `media_list`.',
    }),
    identifier: t.exposeString('identifier', {
      description: 'The identifier that the sender gave in `files` of `sendMessage`.',
    }),
    filename: t.exposeString('filename', {
      nullable: true,
      description: 'File name without its extension, at most 120 characters; null until uploaded.',
    }),
    extension: t.exposeString('extension', {
      nullable: true,
      description: 'File extension with its dot, for example `.png`, or empty; null until uploaded.',
    }),
    contentType: t.exposeString('contentType', {
      nullable: true,
      description: 'Media type, detected from the first bytes of the file; null until uploaded.',
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
      description: 'Time of the upload; null until then.',
    }),
    width: t.int({
      nullable: true,
      description:
        'Width of an image or video in pixels, as displayed; null until the file is inspected, shortly after the upload, and if it does not tell.',
      resolve: async (media, _args, context) => (await detailsOf(media, context))?.width,
    }),
    height: t.int({
      nullable: true,
      description: 'Height of an image or video in pixels; null like `width`.',
      resolve: async (media, _args, context) => (await detailsOf(media, context))?.height,
    }),
    duration: t.float({
      nullable: true,
      description: 'Duration of audio or video in seconds; null like `width`.',
      resolve: async (media, _args, context) => (await detailsOf(media, context))?.duration,
    }),
    preview: t.string({
      nullable: true,
      complexity: LONG_TEXT_COST,
      description:
        'Preview of an image, to show before the file is loaded: a `data:` URL of a WebP image, at most 128 pixels wide and high and 4 KB large, turned upright and without metadata; of the first image of an animation. Null like `width`, and for images that no preview can be made of. Counts for the limit of texts in one response.',
      async resolve({ id, uploadedAt }, _args, context) {
        const preview = uploadedAt === null ? undefined : await context.loaders.preview(id);
        if (preview === undefined) return null;
        return countText(context, `data:image/webp;base64,${preview.toString('base64')}`);
      },
    }),
    url: t.string({
      nullable: true,
      ...perActor,
      description:
        'Path on this server to GET the file from, without a header: for `<img>`, `<video>` and links; with `&download` a browser saves it. It is signed for you, expires after `MEDIA_URL_TTL` at the latest, and is 403 as soon as you may no longer read the file or your session ends. Null until uploaded.',
      resolve: (media, _args, context) => signMediaUrl(context.deps, requireSession(context), media),
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

builder.subscriptionField('mediaInspected', (t) =>
  t.field({
    type: Media,
    description:
      'Files of a conversation whose `width`, `height`, `duration` and `preview` have just been found, or found to be missing. Ephemeral: query them when the stream opens; one that is too slow ends with SLOW. Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT.',
    args: {
      conversationId: t.arg.id({
        required: true,
        description: 'Global id of the conversation. NOT_FOUND unless you take part in it.',
      }),
    },
    subscribe: (_root, args, context) =>
      openMediaInspections(
        context.deps,
        requireSession(context),
        requireId('Conversation', 'conversationId', args.conversationId),
        context,
      ),
    resolve: (media) => media,
  }),
);

const detailsOf = ({ id, uploadedAt }: MediaSource, { loaders }: Context) =>
  uploadedAt === null ? undefined : loaders.mediaDetails(id);

const DirectUpload = builder.objectRef<DirectUploadModel>('DirectUpload').implement({
  description: 'An upload to the storage of the server, past the server.',
  fields: (t) => ({
    url: t.exposeString('url', {
      description:
        'PUT the bytes of the file to this URL, exactly as many as declared, without a token. Files of more than 5 GiB need `resumeUpload`.',
    }),
    ticket: t.exposeString('ticket', {
      description: 'Argument of `resumeUpload` and `finishUpload`, only for the caller.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'Time at which the URL expires; later for large files.',
    }),
  }),
});

const UploadPart = builder.objectRef<PartUploadModel['parts'][number]>('UploadPart').implement({
  description: 'A part of a file that has not arrived in the storage.',
  fields: (t) => ({
    number: t.exposeInt('number', { description: 'Number of the part, from 1.' }),
    offset: t.exposeFloat('offset', { description: 'Position of its first byte in the file, an integer.' }),
    size: t.exposeFloat('size', { description: 'Size of the part in bytes, an integer.' }),
    url: t.exposeString('url', {
      description:
        'PUT the bytes of the part to this URL, exactly as many, without a token. Send a part again whose connection was lost.',
    }),
  }),
});

const PartUpload = builder.objectRef<PartUploadModel>('PartUpload').implement({
  description: 'The progress of an upload in parts.',
  fields: (t) => ({
    received: t.exposeFloat('received', {
      description: 'Bytes of the parts that have arrived, an integer.',
    }),
    parts: t.field({
      type: [UploadPart],
      description:
        'The first 20 parts that have not arrived. Upload them, in any order, and repeat `resumeUpload` until there are none.',
      resolve: ({ parts }) => [...parts],
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'Time at which the URLs expire; `resumeUpload` returns others.',
    }),
  }),
});

builder.mutationFields((t) => ({
  startUpload: t.field({
    type: DirectUpload,
    nullable: true,
    description:
      'Starts the upload of a file declared by one of your messages to the storage itself. Null if the storage takes none: use `uploadMedia`. No event is published until `finishUpload`. FORBIDDEN unless you sent the message and still take part, LIMIT_EXCEEDED if the file exceeds `MAX_UPLOAD_BYTES`, RATE_LIMITED above `UPLOAD_QUOTA_BYTES` per day, which counts uploads from their start. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, LIMIT_EXCEEDED, RATE_LIMITED, UNAVAILABLE.',
    args: {
      mediaId: t.arg.id({
        required: true,
        description:
          'Global id of the media, as returned by `sendMessage`. NOT_FOUND unless you take part in its conversation.',
      }),
      filename: t.arg.string({ required: true, description: 'Name of the file, with its extension.' }),
      size: t.arg.float({ required: true, description: 'Size of the file in bytes, an integer.' }),
    },
    resolve: (_root, { mediaId, ...file }, context) =>
      startDirectUpload(context.deps, requireActor(context), {
        mediaId: requireId('Media', 'mediaId', mediaId),
        ...file,
      }),
  }),
  resumeUpload: t.field({
    type: PartUpload,
    description:
      'Uploads a file of `startUpload` in parts, for weak networks: returns what has arrived, and URLs for the parts that have not, also after a restart of the client or the server. Then the URL of `startUpload` must not be used. NOT_FOUND if the upload was finished before, or a day has passed, and more for large files. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, UNAVAILABLE.',
    args: {
      ticket: t.arg.string({ required: true, description: 'The ticket that `startUpload` returned to you.' }),
    },
    resolve: (_root, { ticket }, context) => resumeDirectUpload(context.deps, requireActor(context), ticket),
  }),
  finishUpload: t.field({
    type: Media,
    description:
      'Finishes an upload of `startUpload` once the file has arrived, with the effects of `uploadMedia`. The copy of a large file takes a while: repeat it when the connection was lost, an upload that was finished returns its file. INVALID_INPUT if the file has another size than declared or parts are missing, NOT_FOUND if none has arrived or a day has passed. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, UNAVAILABLE.',
    args: {
      ticket: t.arg.string({ required: true, description: 'The ticket that `startUpload` returned to you.' }),
    },
    resolve: (_root, { ticket }, context) => finishDirectUpload(context.deps, requireActor(context), ticket),
  }),
  uploadMedia: t.field({
    type: Media,
    description:
      'Uploads a file declared by one of your messages, like POST `/media/upload/<legacyId>`. A second upload replaces the first. Publishes `MediaUploaded`; with the last file the message becomes DONE. FORBIDDEN unless you sent the message and still take part, LIMIT_EXCEEDED if the file exceeds `MAX_UPLOAD_BYTES` or the upload is too slow, RATE_LIMITED above `UPLOAD_QUOTA_BYTES` per day and for too many concurrent uploads. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT, LIMIT_EXCEEDED, RATE_LIMITED, UNAVAILABLE.',
    args: {
      mediaId: t.arg.id({
        required: true,
        description:
          'Global id of the media, as returned by `sendMessage`. NOT_FOUND unless you take part in its conversation.',
      }),
      file: t.arg({ type: 'Upload', required: true, description: 'The file, of any media type.' }),
    },
    resolve: (_root, { mediaId, file }, context) => {
      // The stream can be read once: a second field with the same file would store an empty one as complete.
      if (file.content.readableDidRead) throw invalidInput('file', 'The file was used before.');
      return uploadMedia(context.deps, requireActor(context), {
        mediaId: requireId('Media', 'mediaId', mediaId),
        ...file,
      });
    },
  }),
}));
