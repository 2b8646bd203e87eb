import { describe, expect, test } from 'vitest';
import { createTestAccount, loginTestDevice } from '../../src/testing/account.ts';
import { createCircle, createConversation, createGraphqlClient } from '../../src/testing/index.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startDeployment } from './book.ts';
import { openSession, openSteps, readListSteps, readPage, runBesideLogins } from './rotation.ts';

// Rotates AUTH_DEVICE_SECRET with the commands of docs/operations/secrets.md, beside live devices.

describe.skipIf(isMissing('postgresql', 'curl'))('rotation', () => {
  test('no device is logged out when its secret is set, and replaced', { timeout: 300_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const { nodes, run } = await startDeployment(stack);
    const [first, second] = nodes;
    const steps = await openSteps(run);
    const ann = stack.use(await createTestAccount(first.url, createGraphqlClient(first.url)));
    const circle = await createCircle(ann);
    const conversation = await createConversation(ann, circle);
    const { addDevice } = await ann.graphql.run<{ addDevice: { username: string; password: string } }>(
      'mutation ($id: ID!) { addDevice(circleId: $id, name: "Kitchen") { username password } }',
      { id: circle.id },
    );
    await ann.graphql.run(
      'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }',
      { id: conversation.id },
    );
    const logIn = async (url: string): Promise<string> => {
      await using device = await loginTestDevice(url, addDevice.username, addDevice.password);
      return device.token;
    };
    const openDevice = async (url: string) => {
      const token = await logIn(url);
      const session = openSession(stack, nodes, token, conversation.id);
      await session.expectLive();
      return { token, expectLive: () => session.expectLive() };
    };
    const step = (commands: string): Promise<void> => runBesideLogins(nodes, logIn, () => steps(commands));
    const device = await openDevice(first.url);

    const [, oldSecret = ''] = /its `OLD` is `([^`]+)`/.exec(await readPage()) ?? [];
    const setting = await readListSteps('AUTH_DEVICE_SECRET', oldSecret, 'first-secret-of-devices');
    await step(setting.accept);
    await device.expectLive();
    await step(setting.sign);
    await device.expectLive();
    await step(setting.drop);
    await device.expectLive();
    const renewed = await openDevice(second.url);

    const next = await readListSteps(
      'AUTH_DEVICE_SECRET',
      'first-secret-of-devices',
      'second-secret-of-devices',
    );
    await step(next.accept);
    await renewed.expectLive();
    await step(next.sign);
    await renewed.expectLive();
    const last = await openDevice(first.url);
    await step(next.drop);
    await last.expectLive();
    for (const { url } of nodes)
      expect(await createGraphqlClient(url, renewed.token).expectError('{ me { __typename } }')).toBe(
        'UNAUTHENTICATED',
      );
  });
});
