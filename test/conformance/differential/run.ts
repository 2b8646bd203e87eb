import { createCircle, createConversation, createDevice } from '../../../src/testing/index.ts';
import type { Entity, TestAccount } from '../../../src/testing/index.ts';
import type { Cast } from './actors.ts';
import type { Hand, OpenHand } from './actions.ts';
import { openWatch } from './observe.ts';
import type { Log, Watch } from './observe.ts';

interface Scene {
  readonly cast: Cast;
  readonly circle: Entity;
  readonly conversation: Entity;
  readonly device: TestAccount;
  readonly watch: Watch;
  readonly hands: { readonly ann: Hand; readonly bob: Hand; readonly device: Hand };
}

/** Runs the scenario with the given actors, and returns the observed events. */
export async function play(cast: Cast, openHand: OpenHand): Promise<Log> {
  const { app, ann, bob, eve, zoe } = cast;
  await using stack = new AsyncDisposableStack();
  const circle = await createCircle(ann, bob, eve, zoe);
  const device = stack.use(await createDevice(app, ann, circle));
  const watch = stack.use(await openWatch(cast, circle));
  let conversation: Entity = circle;
  await watch.sees('bob', async () => {
    conversation = await createConversation(ann, circle, bob, eve);
  });
  await watch.follow(conversation);
  const hands = {
    ann: stack.use(await openHand(ann, app.url)),
    bob: stack.use(await openHand(bob, app.url)),
    device: stack.use(await openHand(device, app.url)),
  };
  const scene = { cast, circle, conversation, device, watch, hands };
  await talk(scene);
  await share(scene);
  await phone(scene);
  await arrange(scene);
  await part(scene);
  return await watch.end(conversation);
}

async function talk({ circle, conversation, cast, hands, watch }: Scene): Promise<void> {
  const allow = 'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }';
  await watch.sees('conversation', () => cast.ann.graphql.run(allow, { id: conversation.id }));
  for (const hand of [hands.ann, hands.bob, hands.device]) await hand.join(circle, conversation);
  await watch.sees('conversation', () => hands.ann.say(conversation, 'é€😀'));
  await watch.sees('typing', () => hands.bob.type(conversation, true));
  await watch.sees('typing', () => hands.bob.type(conversation, false));
  await watch.sees('typing', () => hands.device.type(conversation, true));
  await watch.sees('typing', () => hands.device.type(conversation, false));
  await watch.sees('conversation', () => hands.device.say(conversation, 'Dinner is ready'));
}

async function share({ conversation, hands, watch }: Scene): Promise<void> {
  let files: readonly number[] = [];
  await watch.sees('conversation', async () => {
    files = await hands.bob.say(conversation, 'Look', ['a.png', 'b.png']);
  });
  for (const file of files) await watch.sees('conversation', () => hands.bob.upload(file, 'cake.png'));
}

async function phone({ cast: { ann, bob }, hands, watch }: Scene): Promise<void> {
  await watch.sees('bobsSignals', () => hands.ann.call(bob, 'CALLING'));
  await watch.sees('annsSignals', () => hands.bob.call(ann, { type: 'sdp', data: { sdp: 'v=0 é€😀' } }));
  await watch.sees('annsSignals', () => hands.device.call(ann, 'CALLING'));
}

/** Actions without a legacy channel: every run uses GraphQL. */
async function arrange({ cast, circle, conversation, hands, watch }: Scene): Promise<void> {
  const { ann, bob, yan, zoe } = cast;
  const { id } = conversation;
  const email = { id, email: zoe.login };
  await watch.sees('conversation', () =>
    act(ann, 'updateConversation(conversationId: $id, name: $name)', { id, name: 'Été' }),
  );
  await watch.sees('circle', () =>
    act(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Clan' }),
  );
  await watch.sees('zoe', () =>
    watch.sees('conversation', () =>
      act(ann, 'inviteToConversation(conversationId: $id, email: $email)', email),
    ),
  );
  let invitation = '';
  await watch.sees('yan', async () => {
    invitation = await act(ann, 'inviteToCircle(circleId: $id, email: $email)', {
      id: circle.id,
      email: yan.login,
    });
  });
  await watch.sees('circle', () => act(yan, 'acceptCircleInvitation(invitationId: $id)', { id: invitation }));
  await watch.sees('bob', () =>
    watch.sees('conversation', () =>
      act(ann, 'promoteInConversation(conversationId: $id, email: $email)', { id, email: bob.login }),
    ),
  );
  await watch.sees('conversation', () =>
    act(bob, 'kickFromConversation(conversationId: $id, email: $email)', email),
  );
  await watch.sees('conversation', () => hands.bob.say(conversation, 'She was noisy'));
}

async function part({ cast: { ann, yan }, circle, conversation, device, watch }: Scene): Promise<void> {
  await watch.sees('conversation', () =>
    act(ann, 'leaveConversation(conversationId: $id)', { id: conversation.id }),
  );
  await watch.sees('circle', () =>
    act(ann, 'kickFromCircle(circleId: $id, email: $email)', { id: circle.id, email: yan.login }),
  );
  await watch.sees('circle', () =>
    watch.sees('conversation', () => act(ann, 'removeDevice(deviceId: $id)', { id: device.id })),
  );
}

/** Runs a mutation and returns the id in its result. */
async function act(
  account: TestAccount,
  field: string,
  variables: Readonly<Record<string, string>>,
): Promise<string> {
  const declared = Object.keys(variables).map((name) => `$${name}: ${name === 'id' ? 'ID!' : 'String!'}`);
  const data = await account.graphql.run<{ done: { id: string } }>(
    `mutation (${declared.join(', ')}) { done: ${field} { id } }`,
    variables,
  );
  return data.done.id;
}
