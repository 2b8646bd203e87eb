// Sends a message with a file: the message declares its files, and each is uploaded afterwards.
import { gql } from '@apollo/client';
import type { TypedDocumentNode } from '@apollo/client';
import { createClient } from 'graphql-ws';
import { createSession, webSocketUrl } from '../session.ts';
import { createApolloClient } from './client.ts';

type Media = { id: string; filename: string; extension: string; size: number; url: string };

const SEND_FILES: TypedDocumentNode<
  { sendMessage: { media: { id: string }[] } },
  { conversationId: string; files: string[]; key: string }
> = gql`
  mutation SendFiles($conversationId: ID!, $files: [String!], $key: String) {
    sendMessage(conversationId: $conversationId, files: $files, idempotencyKey: $key) {
      message {
        id
        status
      }
      media {
        id
      }
    }
  }
`;

const UPLOAD: TypedDocumentNode<{ uploadMedia: Media }, { mediaId: string; file: File }> = gql`
  mutation Upload($mediaId: ID!, $file: Upload!) {
    uploadMedia(mediaId: $mediaId, file: $file) {
      id
      filename
      extension
      size
      url
    }
  }
`;

const client = createApolloClient(createSession(), createClient({ url: webSocketUrl }));
const file = new File(['Hello from Apollo Client'], 'hello.txt', { type: 'text/plain' });

const { data: response } = await client.mutate({
  mutation: SEND_FILES,
  variables: { conversationId: 'Conversation:1', files: [file.name], key: crypto.randomUUID() },
});
for (const { id } of response?.sendMessage.media ?? []) {
  const { data } = await client.mutate({ mutation: UPLOAD, variables: { mediaId: id, file } });
  const media = data?.uploadMedia;
  console.log(`Uploaded ${media?.filename}${media?.extension}, ${media?.size} bytes`);
}
