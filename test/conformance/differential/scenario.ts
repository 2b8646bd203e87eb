import { createCircle, createConversation, createDevice } from '../../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../../src/testing/index.ts';
import { runMutation } from '../../harness/run-mutation.ts';
import type { Accounts } from './accounts.ts';
import type { Driver, OpenDriver } from './drivers.ts';
import { openObserver } from './observer.ts';
import type { Observations, Observer } from './observer.ts';

interface Scenario {
  readonly accounts: Accounts;
  readonly circle: Entity;
  readonly conversation: Entity;
  readonly device: TestAccount;
  readonly observer: Observer;
  readonly drivers: { readonly ann: Driver; readonly bob: Driver; readonly device: Driver };
}

/** Runs the scenario with the given drivers, and returns the observed events. */
export async function runScenario(
  app: TestGateway,
  accounts: Accounts,
  openDriver: OpenDriver,
): Promise<Observations> {
  const { ann, bob, eve, zoe } = accounts;
  await using stack = new AsyncDisposableStack();
  const circle = await createCircle(ann, bob, eve, zoe);
  const device = stack.use(await createDevice(app, ann, circle));
  const observer = stack.use(await openObserver(accounts, circle));
  let conversation: Entity = circle;
  await observer.expectEvent('bobInbox', async () => {
    conversation = await createConversation(ann, circle, bob, eve);
  });
  await observer.observeConversation(conversation);
  const drivers = {
    ann: stack.use(await openDriver(ann, app.url)),
    bob: stack.use(await openDriver(bob, app.url)),
    device: stack.use(await openDriver(device, app.url)),
  };
  const scenario = { accounts, circle, conversation, device, observer, drivers };
  await exchangeMessages(scenario);
  await shareFiles(scenario);
  await exchangeSignals(scenario);
  await changeMembers(scenario);
  await removeMembers(scenario);
  return await observer.readObservations(conversation);
}

async function exchangeMessages({
  circle,
  conversation,
  accounts,
  drivers,
  observer,
}: Scenario): Promise<void> {
  const allowDevice = 'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }';
  await observer.expectEvent('conversation', () =>
    accounts.ann.graphql.run(allowDevice, { id: conversation.id }),
  );
  for (const driver of [drivers.ann, drivers.bob, drivers.device])
    await driver.joinRooms(circle, conversation);
  await observer.expectEvent('conversation', () => drivers.ann.sendMessage(conversation, 'é€😀'));
  await observer.expectEvent('typing', () => drivers.bob.setTyping(conversation, true));
  await observer.expectEvent('typing', () => drivers.bob.setTyping(conversation, false));
  await observer.expectEvent('typing', () => drivers.device.setTyping(conversation, true));
  await observer.expectEvent('typing', () => drivers.device.setTyping(conversation, false));
  await observer.expectEvent('conversation', () =>
    drivers.device.sendMessage(conversation, 'Dinner is ready'),
  );
}

async function shareFiles({ conversation, drivers, observer }: Scenario): Promise<void> {
  let mediaIds: readonly number[] = [];
  await observer.expectEvent('conversation', async () => {
    mediaIds = await drivers.bob.sendMessage(conversation, 'Look', ['a.png', 'b.png']);
  });
  for (const mediaId of mediaIds)
    await observer.expectEvent('conversation', () => drivers.bob.uploadMedia(mediaId, 'cake.png'));
}

async function exchangeSignals({ accounts: { ann, bob }, drivers, observer }: Scenario): Promise<void> {
  const offer = { type: 'sdp', data: { sdp: 'v=0 é€😀' } };
  await observer.expectEvent('bobSignals', () => drivers.ann.sendSignal(bob, 'CALLING'));
  await observer.expectEvent('annSignals', () => drivers.bob.sendSignal(ann, offer));
  await observer.expectEvent('annSignals', () => drivers.device.sendSignal(ann, 'CALLING'));
}

/** Renames, invites, promotes and kicks. There is no legacy channel for it: every run uses GraphQL. */
async function changeMembers({ accounts, circle, conversation, drivers, observer }: Scenario): Promise<void> {
  const { ann, bob, yan, zoe } = accounts;
  const { id } = conversation;
  const zoeInConversation = { id, email: zoe.login };
  await observer.expectEvent('conversation', () =>
    runMutation(ann, 'updateConversation(conversationId: $id, name: $name)', { id, name: 'Été' }),
  );
  await observer.expectEvent('circle', () =>
    runMutation(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Clan' }),
  );
  await observer.expectEvent('zoeInbox', () =>
    observer.expectEvent('conversation', () =>
      runMutation(ann, 'inviteToConversation(conversationId: $id, email: $email)', zoeInConversation),
    ),
  );
  let invitationId = '';
  await observer.expectEvent('yanInbox', async () => {
    invitationId = await runMutation(ann, 'inviteToCircle(circleId: $id, email: $email)', {
      id: circle.id,
      email: yan.login,
    });
  });
  await observer.expectEvent('circle', () =>
    runMutation(yan, 'acceptCircleInvitation(invitationId: $id)', { id: invitationId }),
  );
  await observer.expectEvent('bobInbox', () =>
    observer.expectEvent('conversation', () =>
      runMutation(ann, 'promoteInConversation(conversationId: $id, email: $email)', { id, email: bob.login }),
    ),
  );
  await observer.expectEvent('conversation', () =>
    runMutation(bob, 'kickFromConversation(conversationId: $id, email: $email)', zoeInConversation),
  );
  await observer.expectEvent('conversation', () => drivers.bob.sendMessage(conversation, 'She was noisy'));
}

/** Leaves, kicks and removes the device, over GraphQL in every run. */
async function removeMembers({
  accounts: { ann, yan },
  circle,
  conversation,
  device,
  observer,
}: Scenario): Promise<void> {
  await observer.expectEvent('conversation', () =>
    runMutation(ann, 'leaveConversation(conversationId: $id)', { id: conversation.id }),
  );
  await observer.expectEvent('circle', () =>
    runMutation(ann, 'kickFromCircle(circleId: $id, email: $email)', { id: circle.id, email: yan.login }),
  );
  await observer.expectEvent('circle', () =>
    observer.expectEvent('conversation', () =>
      runMutation(ann, 'removeDevice(deviceId: $id)', { id: device.id }),
    ),
  );
}
