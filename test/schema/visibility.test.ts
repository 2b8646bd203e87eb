import { expect, test } from 'vitest';
import type { UserId } from '../../src/ids.ts';
import { createCircle } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { actorOf, openSchemaClient } from './schema-client.ts';
import type { SchemaClient } from './schema-client.ts';

const CREATE_CIRCLE = 'mutation { createCircle(name: "Family") { id legacyId name myRole eventCursor } }';
const INVITE =
  'mutation ($c: ID!, $e: String!) { inviteToCircle(circleId: $c, email: $e) { id circle { name } } }';

/** Creates Ann's circle, to which Bob is invited. */
async function seedCircle(client: SchemaClient) {
  const ann = await client.createUser('Ann');
  const bob = await client.createUser('Bob');
  const circle: string = (await client.run(ann, CREATE_CIRCLE)).createCircle.id;
  const { inviteToCircle } = await client.run(ann, INVITE, { c: circle, e: bob.email });
  const invitation: string = inviteToCircle.id;
  return { ann, bob, circle, invitation };
}

test('a circle shows all its data to its creator', async () => {
  await using client = await openSchemaClient();
  const { ann, circle } = await seedCircle(client);
  const data = await client.run(
    ann,
    `query ($id: ID!) {
      me { __typename ... on User { email isOnline circles { nodes { id } } } }
      circle(id: $id) {
        id legacyId name myRole device { id }
        members { nodes { role user { email firstName } circle { name } } }
        invitations { edges { node { email user { email } invitedBy { email } } } }
        conversations { nodes { id } pageInfo { hasNextPage startCursor } }
      }
    }`,
    { id: circle },
  );
  expect(data).toEqual({
    me: { __typename: 'User', email: ann.email, isOnline: false, circles: { nodes: [{ id: circle }] } },
    circle: {
      id: circle,
      legacyId: Number(circle.split(':')[1]),
      name: 'Family',
      myRole: 'ADMIN',
      device: null,
      members: {
        nodes: [{ role: 'ADMIN', user: { email: ann.email, firstName: 'Ann' }, circle: { name: 'Family' } }],
      },
      invitations: {
        edges: [{ node: { email: 'bob@example.com', user: null, invitedBy: { email: ann.email } } }],
      },
      conversations: { nodes: [], pageInfo: { hasNextPage: false, startCursor: null } },
    },
  });
});

test('an invitation shows its user to no one else, and its inviter by name and e-mail, until both share a circle', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, circle, invitation } = await seedCircle(client);
  for (const { id } of [ann, bob])
    await client.deps.db
      .updateTable('users')
      .set({ birthday: '2000-01-01' })
      .where('id', '=', id as UserId)
      .execute();
  const lease = await client.deps.presence.open('graphql', bob);
  const userFields = '{ firstName email birthday isOnline }';
  const query = `query ($id: ID!) { node(id: $id) { ... on CircleInvitation { email user ${userFields} invitedBy ${userFields} } } }`;
  const visible = { birthday: '2000-01-01' };
  const hidden = { birthday: null, isOnline: false };
  expect((await client.run(ann, query, { id: invitation })).node).toMatchObject({
    email: bob.email,
    user: null,
    invitedBy: { firstName: 'Ann', ...visible },
  });
  expect((await client.run(bob, query, { id: invitation })).node).toMatchObject({
    user: { firstName: 'Bob', ...visible, isOnline: true },
    invitedBy: { firstName: 'Ann', email: ann.email, ...hidden },
  });
  const { createCircle: otherCircle } = await client.run(ann, CREATE_CIRCLE);
  const { inviteToCircle: otherInvitation } = await client.run(ann, INVITE, {
    c: otherCircle.id,
    e: bob.email,
  });
  await client.run(bob, 'mutation ($i: ID!) { acceptCircleInvitation(invitationId: $i) { id } }', {
    i: invitation,
  });
  expect((await client.run(ann, query, { id: otherInvitation.id })).node).toMatchObject({
    user: { ...visible, isOnline: true },
  });
  expect(circle).not.toBe(otherCircle.id);
  await lease.close();
});

test('an invitation shows no difference between an e-mail with and without an account', async () => {
  await using client = await openSchemaClient();
  const { ann, bob } = await seedCircle(client);
  const { createCircle: circle } = await client.run(ann, CREATE_CIRCLE);
  const query = `mutation ($c: ID!, $e: String!) { inviteToCircle(circleId: $c, email: $e) {
    __typename email user { id email firstName } invitedBy { id } circle { id members { nodes { id } } }
  } }`;
  const known = await client.run(ann, query, { c: circle.id, e: bob.email });
  const unknown = await client.run(ann, query, { c: circle.id, e: 'nobody@example.com' });
  expect(known.inviteToCircle).toEqual({ ...unknown.inviteToCircle, email: bob.email });
  const list = 'query ($id: ID!) { circle(id: $id) { invitations { nodes { email user { id } } } } }';
  expect((await client.run(ann, list, { id: circle.id })).circle.invitations.nodes).toEqual([
    { email: bob.email, user: null },
    { email: 'nobody@example.com', user: null },
  ]);
});

test('an invitation that an older node has inserted shows the e-mail of its user', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, invitation } = await seedCircle(client);
  await client.deps.db
    .updateTable('invitations')
    .set({ email: null } as object)
    .execute();
  const query = 'query ($id: ID!) { node(id: $id) { ... on CircleInvitation { email user { id } } } }';
  for (const account of [ann, bob])
    expect((await client.run(account, query, { id: invitation })).node.email).toBe(bob.email);
});

test('an invited user sees the name of the circle and empty lists', async () => {
  await using client = await openSchemaClient();
  const { bob, circle, invitation } = await seedCircle(client);
  const circleFields =
    'name myRole device { id } members { nodes { id } } invitations { nodes { id } } conversations { nodes { id } }';
  const { me } = await client.run(
    bob,
    `{ me { ... on User { invitations { nodes { id circle { id ${circleFields} } } } } } }`,
  );
  const emptyList = { nodes: [] };
  expect(me.invitations.nodes).toEqual([
    {
      id: invitation,
      circle: {
        id: circle,
        name: 'Family',
        myRole: null,
        device: null,
        members: emptyList,
        invitations: emptyList,
        conversations: emptyList,
      },
    },
  ]);
  expect(
    await client.expectError(bob, 'query ($id: ID!) { circle(id: $id) { id } }', { id: circle }),
  ).toEqual({
    code: 'NOT_FOUND',
  });
});

test('circles and invitations of other users are null', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, invitation } = await seedCircle(client);
  await client.run(bob, 'mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { id } }', {
    id: invitation,
  });
  const { circles } = await client.run(
    ann,
    '{ circles { nodes { members { nodes { user { email circles { nodes { id } } invitations { nodes { id } } } } } } } }',
  );
  const [ownMembership, otherMembership] = circles.nodes[0].members.nodes;
  expect(ownMembership.user).toMatchObject({
    email: ann.email,
    circles: { nodes: [{}] },
    invitations: { nodes: [] },
  });
  expect(otherMembership.user).toEqual({ email: bob.email, circles: null, invitations: null });
});

test('a node is null without access and for unknown ids', async () => {
  await using client = await openSchemaClient();
  const { ann, circle, invitation } = await seedCircle(client);
  const eve = await client.createUser('Eve');
  const { circle: visibleCircle } = await client.run(
    ann,
    'query ($id: ID!) { circle(id: $id) { members { nodes { id } } } }',
    {
      id: circle,
    },
  );
  const ids = [circle, invitation, visibleCircle.members.nodes[0].id, `User:${ann.id}`];
  const invisibleIds = ['Message:9', 'Circle:2147483647', 'CircleMembership:77', 'Device:1', 'User:99'];
  const NODES = 'query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }';
  const { nodes } = await client.run(ann, NODES, { ids: [...ids, ...invisibleIds] });
  expect(nodes).toEqual([
    ...ids.map((id) => ({ __typename: id.split(':')[0], id })),
    ...invisibleIds.map(() => null),
  ]);
  expect((await client.run(eve, NODES, { ids })).nodes).toEqual(ids.map(() => null));
  expect(await client.run(eve, 'query ($id: ID!) { node(id: $id) { id } }', { id: circle })).toEqual({
    node: null,
  });
  expect(await client.expectError(null, 'query ($id: ID!) { node(id: $id) { id } }', { id: circle })).toEqual(
    {
      code: 'UNAUTHENTICATED',
    },
  );
});

const MALFORMED = [
  '',
  '1',
  ':1',
  'Circle',
  'Circle:',
  'Circle:x',
  'Circle:0',
  'Circle:01',
  'Circle:-1',
  'Circle:+1',
  'Circle:1.0',
  'Circle:1e3',
  'Circle: 1',
  ' Circle:1',
  'Circle:1\n',
  'Circle:1:1',
  'Circle:１',
  'Circle:2147483648',
  'Circle:99999999999999999999',
  'circle:1',
  'CIRCLE:1',
  'Q2lyY2xlOjE=',
  'Nothing:1',
  'constructor:1',
  'Event:1',
  `Circle:${'1'.repeat(10_000)}`,
];

test('a malformed id is rejected with the expected form', async () => {
  await using client = await openSchemaClient();
  const { ann, circle } = await seedCircle(client);
  const CIRCLE = 'query ($id: ID!) { circle(id: $id) { id } }';
  for (const id of [...MALFORMED, 'Conversation:1', 'User:1']) {
    expect(await client.expectError(ann, CIRCLE, { id }), id).toEqual({ code: 'INVALID_INPUT', field: 'id' });
  }
  await expect(client.run(ann, CIRCLE, { id: '1' })).rejects.toThrow(
    'id is not a global id of the form Circle:<number>.',
  );
  expect(await client.expectError(ann, CIRCLE, { id: 'Circle:2147483647' })).toEqual({ code: 'NOT_FOUND' });
  expect((await client.run(ann, CIRCLE, { id: circle })).circle).toEqual({ id: circle });
});

test('every id argument is rejected with the form of its own type', async () => {
  await using client = await openSchemaClient();
  const { ann } = await seedCircle(client);
  const invalidInput = (field: string) => ({ code: 'INVALID_INPUT', field });
  for (const [operation, field] of [
    ['{ conversation(id: "Circle:1") { id } }', 'id'],
    ['{ message(id: 7) { id } }', 'id'],
    ['mutation { updateCircle(circleId: "1", name: "A") { id } }', 'circleId'],
    ['mutation { acceptCircleInvitation(invitationId: "Invitation:1") { id } }', 'invitationId'],
    ['mutation { removeDevice(deviceId: "device:1") { id } }', 'deviceId'],
    ['mutation { sendMessage(conversationId: "12", text: "Hi") { message { id } } }', 'conversationId'],
    ['mutation { updateMessage(messageId: "Media:1", text: "Hi") { id } }', 'messageId'],
    ['mutation { setTyping(conversationId: "x", isTyping: true) }', 'conversationId'],
    ['mutation { sendSignal(to: { userId: "Device:1" }, content: 1) }', 'userId'],
    ['mutation { sendSignal(to: { deviceId: "1" }, content: 1) }', 'deviceId'],
  ] as const) {
    expect(await client.expectError(ann, operation), operation).toEqual(invalidInput(field));
  }
  for (const [field, operation] of [
    ['circleId', 'subscription { circleEvents(circleId: "1") { at } }'],
    ['circleId', 'subscription { presence(circleId: "1") { online } }'],
    ['conversationId', 'subscription { conversationEvents(conversationId: "Circle:1") { at } }'],
    ['conversationId', 'subscription { typing(conversationId: "") { isTyping } }'],
  ] as const) {
    await expect(client.subscribe(ann, operation), operation).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      details: { field },
    });
  }
});

test('node rejects a malformed id; nodes returns null and an error in its position', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const { id } = await createCircle(ann);
  for (const malformed of MALFORMED) {
    expect(
      await ann.graphql.expectError('query ($id: ID!) { node(id: $id) { id } }', { id: malformed }),
    ).toBe('INVALID_INPUT');
  }
  const ids = [id, '1', 'Circle:9999', ann.id];
  const { data, errors } = await ann.graphql.send('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', {
    ids,
  });
  expect(data).toEqual({ nodes: [{ id }, null, null, { id: ann.id }] });
  expect(errors).toEqual([
    expect.objectContaining({
      message: 'ids is not a global id of the form <type>:<number>.',
      path: ['nodes', 1],
      extensions: { code: 'INVALID_INPUT', field: 'ids' },
    }),
  ]);
});

test('leaving and deleting return the object as it was, with empty lists', async () => {
  await using client = await openSchemaClient();
  const { ann, bob, circle, invitation } = await seedCircle(client);
  await client.run(bob, 'mutation ($id: ID!) { acceptCircleInvitation(invitationId: $id) { id } }', {
    id: invitation,
  });
  const { createConversation } = await client.run(
    ann,
    'mutation ($id: ID!, $emails: [String!]) { createConversation(circleId: $id, name: "Talk", emails: $emails) { id } }',
    { id: circle, emails: [bob.email] },
  );
  const conversation: string = createConversation.id;
  const response = await client.run(
    bob,
    `mutation ($id: ID!) { leaveConversation(conversationId: $id) {
      id legacyId name deviceAccess createdAt updatedAt eventCursor myRole circle { name }
      participants { nodes { id } } messages { nodes { id } }
    } }`,
    { id: conversation },
  );
  expect(response.leaveConversation).toMatchObject({
    id: conversation,
    name: 'Talk',
    deviceAccess: false,
    myRole: null,
    circle: { name: 'Family' },
    participants: { nodes: [] },
    messages: { nodes: [] },
  });
  const { deleteCircle } = await client.run(
    ann,
    `mutation ($id: ID!) { deleteCircle(circleId: $id) {
      id name createdAt updatedAt eventCursor myRole device { id }
      members { nodes { id } } invitations { nodes { id } } conversations { nodes { id } }
    } }`,
    { id: circle },
  );
  expect(deleteCircle).toMatchObject({
    id: circle,
    name: 'Family',
    myRole: null,
    device: null,
    members: { nodes: [] },
  });
});

test('a device sees its circle', async () => {
  await using client = await openSchemaClient();
  const { ann, circle } = await seedCircle(client);
  const { addDevice } = await client.run(
    ann,
    'mutation ($id: ID!) { addDevice(circleId: $id, name: "Kitchen") { device { id name circle { name } } username password } }',
    { id: circle },
  );
  const { loginDevice } = await client.run(
    null,
    'mutation ($u: String!, $p: String!) { loginDevice(username: $u, password: $p) { token device { username activated } } }',
    { u: addDevice.username, p: addDevice.password },
  );
  expect(loginDevice).toMatchObject({ device: { username: addDevice.username, activated: true } });
  const device = actorOf(addDevice.device.id);
  const data = await client.run(
    device,
    '{ me { __typename ... on Device { name } } circles { nodes { name myRole device { name } members { nodes { user { email } } } } } }',
  );
  expect(data).toEqual({
    me: { __typename: 'Device', name: 'Kitchen' },
    circles: {
      nodes: [
        {
          name: 'Family',
          myRole: null,
          device: { name: 'Kitchen' },
          members: { nodes: [{ user: { email: ann.email } }] },
        },
      ],
    },
  });
});
