import { randomUUID } from 'node:crypto';
import { SignJWT, decodeJwt } from 'jose';
import type { JWTPayload } from 'jose';
import type { ActorRef } from '../../src/actor.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  createGraphqlClient,
} from '../../src/testing/index.ts';
import { parseId } from '../../src/ids.ts';
import type { DeviceId, UserId } from '../../src/ids.ts';
import { createMediaUrls } from '../../src/services/media-urls.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { createOperator } from '../harness/operator.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { startCall, subscribeToCalls } from '../harness/calls.ts';
import { loginTestDevice } from '../../src/testing/index.ts';
import type { ActorName } from './actors.ts';
import type { Accounts, Ids } from './rows.ts';

/** Signs the tokens of a gateway under test. */
export const AUTH_SECRET = 'a secret of the authorization matrix';

/** In every name and text of the fixture: a response to a caller without access must not contain it. */
export const MARKER = 'Confidential';

const PASSWORD = 'correct horse';

/** The actors with the objects that the rows refer to. */
export interface Fixture {
  readonly app: TestGateway;
  /** A gateway of the same database that stores media in a folder. */
  readonly folderApp: TestGateway;
  tokenOf(actor: ActorName): string | undefined;
  /** The ids that a row refers to, when this actor runs it. */
  idsFor(actor: ActorName): Ids;
  readonly accounts: () => Accounts;
  /** Makes the admin reachable for signals. */
  connectAdmin(): Promise<AsyncDisposable>;
}

type OwnMessage = Pick<Ids, 'ownMessage' | 'ownMedia'>;

export async function createFixture(app: TestGateway, folderApp: TestGateway): Promise<Fixture> {
  const createAccount = () =>
    app.createAccount({ password: PASSWORD, firstName: MARKER, lastName: MARKER, birthday: '1995-12-31' });
  const [admin, participant, member, former, invitee, outsider, deleted, blocked] = [
    await createAccount(),
    await createAccount(),
    await createAccount(),
    await createAccount(),
    await createAccount(),
    await createAccount(),
    await createAccount(),
    await createAccount(),
  ];
  const circle = await createCircle(admin, participant, member, former, deleted, blocked);
  await admin.graphql.run(
    'mutation ($id: ID!, $name: String!) { updateCircle(circleId: $id, name: $name) { id } }',
    {
      id: circle.id,
      name: MARKER,
    },
  );
  const conversation = await createConversation(admin, circle, participant, former, deleted, blocked);
  const credentials = await addDevice(admin, circle);
  const device = await loginTestDevice(app.url, credentials.username, credentials.password);
  await admin.graphql.run(
    'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }',
    {
      id: conversation.id,
    },
  );
  const otherDevice = await createDevice(app, outsider, await createCircle(outsider));
  const { inviteToCircle: invitation } = await admin.graphql.run<{ inviteToCircle: Entity }>(
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
    { id: circle.id, email: invitee.login },
  );

  await admin.graphql.run(
    'mutation ($id: ID!) { setReadReceipts(conversationId: $id, allowed: true) { id } }',
    { id: conversation.id },
  );
  const send = async (account: TestAccount): Promise<OwnMessage> => {
    const sent = await sendMessage(account, conversation, MARKER, [`${MARKER}.txt`]);
    return { ownMessage: sent.sendMessage.message.id, ownMedia: sent.sendMessage.media[0]?.id ?? '' };
  };
  const adminMessage = await send(admin);
  await upload(app, admin, adminMessage.ownMedia);
  for (const account of [participant, former, admin, device])
    await account.graphql.run(
      'mutation ($id: ID!, $messageId: ID!) { markRead(conversationId: $id, messageId: $messageId) { id } }',
      { id: conversation.id, messageId: adminMessage.ownMessage },
    );
  const ownMessages: Partial<Record<ActorName, OwnMessage>> = {
    participant: await send(participant),
    former: await send(former),
    deleted: await send(deleted),
    blocked: await send(blocked),
    admin: await send(admin),
    device: await send(device),
  };
  const { ownMedia: resumedMedia } = await send(admin);
  await former.graphql.run('mutation ($id: ID!) { leaveCircle(circleId: $id) { id } }', { id: circle.id });
  await deleted.graphql.run('mutation ($password: String!) { deleteAccount(password: $password) { id } }', {
    password: PASSWORD,
  });
  await createOperator(app.url).run(
    'mutation ($id: ID!) { blockAccount(accountId: $id, reason: "spam") { id } }',
    { id: blocked.id },
  );
  const { call, participant: callParticipant } = await startCall(admin, conversation);
  // Keeps the admin in the call.
  await subscribeToCalls(admin, conversation, { participantId: callParticipant.id });
  const expired = await signExpiredToken(admin);
  const loggedOut = await createRevokedToken(app, admin);
  const tokens: Readonly<Record<ActorName, string | undefined>> = {
    anonymous: undefined,
    expired,
    loggedOut,
    deleted: deleted.token,
    blocked: blocked.token,
    outsider: outsider.token,
    invitee: invitee.token,
    former: former.token,
    member: member.token,
    participant: participant.token,
    admin: admin.token,
    device: device.token,
    otherDevice: otherDevice.token,
  };
  const ids = {
    circle: circle.id,
    conversation: conversation.id,
    admin: admin.id,
    device: device.id,
    invitation: invitation.id,
    ...(await readRecordIds(admin, circle, conversation)),
    message: adminMessage.ownMessage,
    media: adminMessage.ownMedia,
    call: call.id,
    callParticipant: callParticipant.id,
    upload: await startResumable(folderApp, admin, resumedMedia),
  };
  return {
    app,
    folderApp,
    tokenOf: (actor) => tokens[actor],
    idsFor: (actor) => ({
      ...ids,
      ...(ownMessages[actor] ?? adminMessage),
      mediaUrl: signMediaUrl(tokens[actor], ids.media),
    }),
    accounts: () => ({
      admin: admin.login,
      participant: participant.login,
      member: member.login,
      outsider: outsider.login,
      unused: `${randomUUID()}@example.com`,
      device: credentials,
    }),
    connectAdmin: () => admin.connectLegacy(),
  };
}

async function addDevice(admin: TestAccount, { id }: Entity) {
  const { addDevice: added } = await admin.graphql.run<{
    addDevice: { username: string; password: string };
  }>('mutation ($id: ID!, $name: String!) { addDevice(circleId: $id, name: $name) { username password } }', {
    id,
    name: MARKER,
  });
  return added;
}

async function upload({ url }: TestGateway, { token }: TestAccount, mediaId: string): Promise<void> {
  const body = new FormData();
  body.set('file', new Blob([MARKER]), `${MARKER}.txt`);
  const response = await fetch(`${url}/media/upload/${mediaId.split(':')[1]}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body,
  });
  if (!response.ok) throw new Error(`The upload failed: ${await response.text()}`);
}

/** Starts an upload of one byte. Returns its id. */
async function startResumable(
  { url }: TestGateway,
  { token }: TestAccount,
  mediaId: string,
): Promise<string> {
  const response = await fetch(`${url}/media/resumable`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'tus-resumable': '1.0.0',
      'upload-length': '1',
      'upload-metadata': `mediaId ${Buffer.from(mediaId).toString('base64')}`,
    },
  });
  if (!response.ok) throw new Error(`The upload did not start: ${await response.text()}`);
  return response.headers.get('location')?.split('/').at(-1) ?? '';
}

const signExpiredToken = ({ legacyId }: TestAccount): Promise<string> =>
  new SignJWT({ kind: 'user', jti: randomUUID() })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(String(legacyId))
    .setIssuedAt(Math.floor(Date.now() / 1000) - 7200)
    .setExpirationTime(Math.floor(Date.now() / 1000) - 3600)
    .sign(new TextEncoder().encode(AUTH_SECRET));

interface Claims {
  readonly kind: 'user' | 'device';
  readonly fam?: string;
  readonly fam_exp?: number;
  readonly gen?: number;
}

const actorOf = ({ kind, sub }: JWTPayload & Claims): ActorRef =>
  kind === 'user' ? { kind, id: Number(sub) as UserId } : { kind, id: Number(sub) as DeviceId };

const mediaUrls = createMediaUrls({ secrets: [AUTH_SECRET], ttlSeconds: 3600, now: () => Date.now() });

/** Signs the URL of a media for the session of a token, which need not be valid; without one, returns it unsigned. */
function signMediaUrl(token: string | undefined, globalId: string): string {
  const id = parseId<'Media'>(globalId.split(':')[1]);
  if (id === undefined) throw new Error(`Not the id of a media: ${globalId}`);
  if (token === undefined) return `/media/${id}`;
  const claims = decodeJwt<Claims>(token);
  const { jti = '', exp = 0, iat = 0, fam, fam_exp: familyExpiry = 0 } = claims;
  return mediaUrls.sign(
    {
      actor: actorOf(claims),
      tokenId: jti,
      issuedAt: iat * 1000,
      expiresAt: exp * 1000,
      family: fam === undefined ? undefined : { id: fam, endsAt: familyExpiry * 1000 },
      generation: claims.gen,
    },
    id,
  );
}

async function createRevokedToken(app: TestGateway, { login: email }: TestAccount): Promise<string> {
  const { login } = await app.graphql.run<{ login: { token: string } }>(
    'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }',
    { email, password: PASSWORD },
  );
  await using client = createGraphqlClient(app.url, login.token);
  await client.run('mutation { logout }');
  return login.token;
}

async function readRecordIds({ graphql }: TestAccount, circle: Entity, conversation: Entity) {
  const data = await graphql.run<Record<'circle' | 'conversation', { records: { nodes: [Entity] } }>>(
    `query ($circle: ID!, $conversation: ID!) {
      circle(id: $circle) { records: members { nodes { id } } }
      conversation(id: $conversation) { records: participants { nodes { id } } }
    }`,
    { circle: circle.id, conversation: conversation.id },
  );
  return { membership: data.circle.records.nodes[0].id, participant: data.conversation.records.nodes[0].id };
}
