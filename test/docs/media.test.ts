import { expect, test } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { readMediaUrl } from '../harness/media.ts';
import { startS3 } from '../harness/s3.ts';
import { findCodeBlocks, readProjectFile, runSnippet } from './snippets.ts';

/** More than a part. */
const SIZE = 6_000_000;

test.for<[string, boolean]>([
  ['in parts', true],
  ['whole', false],
])('the example of docs/media.md uploads a file to the bucket %s', async ([, isInParts]) => {
  const examples = findCodeBlocks(await readProjectFile('docs/media.md'), 'ts');
  const example = examples.find(
    (text) => text.includes('finishUpload') && text.includes('resumeUpload') === isInParts,
  );
  await using server = await startS3();
  await using gateway = await createGateway({ env: server.env });
  const { ann, bob, conversation } = await createAnnAndBob(gateway);
  const { sendMessage: sent } = await sendMessage(ann, conversation, '', ['file']);
  const mediaId = sent.media[0]?.id ?? '';
  const content = Buffer.from(Uint8Array.from({ length: SIZE }, (_byte, index) => index % 251));
  const run = async (operation: string, variables: object) =>
    Object.values(await ann.graphql.run<object>(operation, { ...variables }))[0] as unknown;
  await runSnippet(example ?? '', gateway.url, {
    mediaId,
    file: new File([content], 'film.mp4'),
    localStorage: { setItem: () => undefined },
    startUpload: (input: object) =>
      run(
        `mutation ($mediaId: ID!, $filename: String!, $size: Float!) {
          startUpload(mediaId: $mediaId, filename: $filename, size: $size) { url ticket } }`,
        input,
      ),
    resumeUpload: (input: object) =>
      run(
        'mutation ($ticket: String!) { resumeUpload(ticket: $ticket) { parts { offset size url } } }',
        input,
      ),
    finishUpload: (input: object) =>
      run('mutation ($ticket: String!) { finishUpload(ticket: $ticket) { id } }', input),
  });
  const file = await fetch(await readMediaUrl(gateway, bob, mediaId));
  expect(Buffer.from(await file.arrayBuffer()).equals(content)).toBe(true);
});
