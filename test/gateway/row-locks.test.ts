import { sql } from 'kysely';
import { describe, expect, inject, test } from 'vitest';
import { startUpload } from '../../src/db/uploads.ts';
import { sweep } from '../../src/services/retention.ts';
import { createCircle } from '../../src/testing/index.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createTestDeps } from '../harness/deps.ts';
import { lockRows } from '../harness/lock-rows.ts';
import { PNG } from '../harness/media.ts';
import { startS3 } from '../harness/s3.ts';
import { sendPiece, startResumable } from '../harness/tus.ts';

const START =
  'mutation ($id: ID!, $size: Float!) { startUpload(mediaId: $id, filename: "a.png", size: $size) { url ticket } }';
const FINISH = 'mutation ($ticket: String!) { finishUpload(ticket: $ticket) { id } }';
const MARK =
  'mutation ($id: ID!, $messageId: ID!) { markRead(conversationId: $id, messageId: $messageId) { id } }';
const DELETE = 'mutation ($id: ID!) { deleteMessage(messageId: $id) { id } }';
const INVITE = 'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }';

describe.skipIf(inject('database') !== 'postgres')('while another program has locked rows', () => {
  test('of participants: marks fail, and others send to the conversation and invite the account', async () => {
    const database = await openTestDatabase();
    await using app = await startTestApp({ database });
    const { ann, bob, conversation } = await createAnnAndBob(app);
    const carl = await app.createAccount();
    const circle = await createCircle(carl);
    const { sendMessage: sent } = await sendMessage(ann, conversation, 'hello');
    const variables = { id: conversation.id, messageId: sent.message.id };
    await using lock = await lockRows(database.url ?? '', 'select from participants for update');
    const marked = bob.graphql.expectError(MARK, variables);
    await sendMessage(ann, conversation, 'to the conversation');
    await carl.graphql.run(INVITE, { id: circle.id, email: bob.login });
    expect(await marked).toBe('UNAVAILABLE');
    await lock.release();
    await bob.graphql.run(MARK, variables);
  });

  test.each(['resumable_uploads', 'unfinished_uploads'])(
    'of %s: the uploads fail, and others send to the conversation',
    async (table) => {
      const database = await openTestDatabase();
      await using app = await startTestApp({ database });
      const { ann, bob, conversation } = await createAnnAndBob(app);
      const { sendMessage: sent } = await sendMessage(ann, conversation, '', ['one']);
      const { sendMessage: other } = await sendMessage(ann, conversation, '', ['two']);
      const sender = { url: app.url, token: ann.token };
      const path = await startResumable(sender, sent.media[0]?.id ?? '', PNG.length);
      await startResumable(sender, other.media[0]?.id ?? '', PNG.length);
      await using lock = await lockRows(database.url ?? '', `select from ${table} for update`);
      const uploaded = sendPiece(sender, path, 0, PNG);
      const deleted = ann.graphql.expectError(DELETE, { id: other.message.id });
      await sendMessage(bob, conversation, 'to the conversation');
      expect((await uploaded).status).toBe(503);
      expect(await deleted).toBe('UNAVAILABLE');
      await lock.release();
      await ann.graphql.run(DELETE, { id: other.message.id });
      const repeated = await sendPiece(sender, path, 0, PNG);
      // With its record locked, all had arrived.
      expect([204, 409]).toContain(repeated.status);
    },
  );

  test('of unfinished_uploads: an upload to the bucket is finished later', async () => {
    await using server = await startS3();
    const database = await openTestDatabase();
    await using app = await startTestApp({ database, env: server.env });
    const { ann, bob, conversation } = await createAnnAndBob(app);
    const { sendMessage: sent } = await sendMessage(ann, conversation, '', ['one']);
    const { startUpload: started } = await ann.graphql.run<{ startUpload: { url: string; ticket: string } }>(
      START,
      { id: sent.media[0]?.id, size: PNG.length },
    );
    await fetch(started.url, { method: 'PUT', body: PNG });
    await using lock = await lockRows(database.url ?? '', 'select from unfinished_uploads for update');
    const finished = ann.graphql.expectError(FINISH, { ticket: started.ticket });
    await sendMessage(bob, conversation, 'to the conversation');
    expect(await finished).toBe('UNAVAILABLE');
    await lock.release();
    await ann.graphql.run(FINISH, { ticket: started.ticket });
  });

  test('of unfinished_uploads: the retention removes the others', async () => {
    const { url = '' } = await openTestDatabase();
    await using deps = await createTestDeps();
    const [locked, other] = [crypto.randomUUID(), crypto.randomUUID()];
    for (const name of [locked, other]) await startUpload(deps.db, name);
    await sql`update unfinished_uploads set started_at = started_at - interval '3 days'`.execute(deps.db);
    const list = () => deps.db.selectFrom('unfinishedUploads').select('storageName').execute();
    await using lock = await lockRows(
      url,
      `select from unfinished_uploads where storage_name = '${locked}' for update`,
    );
    await sweep(deps);
    expect(await list()).toEqual([{ storageName: locked }]);
    await lock.release();
    await sweep(deps);
    expect(await list()).toEqual([]);
  });
});
