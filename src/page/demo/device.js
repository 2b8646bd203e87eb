import { execute } from './graphql.js';

const FIND = 'query Device($id: ID!) { circle(id: $id) { device { id } } }';
const ADD = `
  mutation AddDevice($circle: ID!) {
    addDevice(circleId: $circle, name: "Doorbell") { device { id } username password }
  }`;
const ALLOW = `
  mutation AllowDevice($conversation: ID!) {
    setDeviceAccess(conversationId: $conversation, allowed: true) { id }
  }`;
const LOG_IN = `
  mutation LogInDevice($username: String!, $password: String!) {
    loginDevice(username: $username, password: $password) { token }
  }`;
const SPEAK = `
  mutation Speak($conversation: ID!, $text: String!) {
    sendMessage(conversationId: $conversation, text: $text) { message { legacyId } }
  }`;
const REMOVE = 'mutation RemoveDevice($id: ID!) { removeDevice(deviceId: $id) { id } }';

/**
 * Connects the device of the circle: the account adds it and gives it access to the conversation, it sends a message
 * with a token of its own, and it is removed. A circle has one device at most.
 */
export async function connectDevice({ item, account, target, panel, onFrame }) {
  const [add, speak, remove] = item.querySelectorAll('.buttons button');
  const circle = target.circle.id;
  const conversation = target.conversation.id;
  const run = (document, variables, token = account.token) =>
    execute(document, variables, { token, onFrame });
  let deviceId = (await execute(FIND, { id: circle }, account)).circle.device?.id;
  let deviceToken;

  const show = () => {
    add.hidden = deviceId !== undefined;
    remove.hidden = deviceId === undefined;
    speak.hidden = deviceToken === undefined;
  };
  const connect = (button, action) => {
    button.addEventListener('click', () => {
      item.inert = true;
      panel.attempt(action()).finally(() => {
        item.inert = false;
        show();
      });
    });
  };
  connect(add, async () => {
    const { device, username, password } = (await run(ADD, { circle })).addDevice;
    deviceId = device.id;
    await run(ALLOW, { conversation });
    deviceToken = (await run(LOG_IN, { username, password })).loginDevice.token;
  });
  connect(speak, () => run(SPEAK, { conversation, text: 'Somebody is at the door.' }, deviceToken));
  connect(remove, async () => {
    await run(REMOVE, { id: deviceId });
    deviceId = undefined;
    deviceToken = undefined;
  });
  show();
}
