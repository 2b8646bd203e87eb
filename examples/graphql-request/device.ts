// Adds the device of a circle, gives it access to a conversation, sends a message as the device, and removes it.
import { gql, GraphQLClient } from 'graphql-request';
import { createSession, graphqlUrl } from '../session.ts';

const ADD_DEVICE = gql`
  mutation AddDevice($circleId: ID!, $name: String!) {
    addDevice(circleId: $circleId, name: $name) {
      device {
        id
      }
      username
      password
    }
  }
`;

const ALLOW_DEVICE = gql`
  mutation AllowDevice($conversationId: ID!) {
    setDeviceAccess(conversationId: $conversationId, allowed: true) {
      id
    }
  }
`;

const LOG_IN_DEVICE = gql`
  mutation LogInDevice($username: String!, $password: String!) {
    loginDevice(username: $username, password: $password) {
      token
    }
  }
`;

const SEND_MESSAGE = gql`
  mutation SendMessage($conversationId: ID!, $text: String!, $key: String) {
    sendMessage(conversationId: $conversationId, text: $text, idempotencyKey: $key) {
      message {
        text
      }
    }
  }
`;

const REMOVE_DEVICE = gql`
  mutation RemoveDevice($deviceId: ID!) {
    removeDevice(deviceId: $deviceId) {
      id
    }
  }
`;

const [circleId, conversationId] = ['Circle:1', 'Conversation:1'];
const owner = clientOf(await createSession().getToken());

// The password is returned once: the device stores it, and logs in with it.
const { addDevice } = await owner.request<AddDevice>(ADD_DEVICE, { circleId, name: 'Doorbell' });
const { device: added, username, password } = addDevice;
await owner.request(ALLOW_DEVICE, { conversationId });

const { loginDevice } = await owner.request<LogInDevice>(LOG_IN_DEVICE, { username, password });
const device = clientOf(loginDevice.token);
const text = 'Somebody is at the door.';
await device.request(SEND_MESSAGE, { conversationId, text, key: crypto.randomUUID() });
console.log('sent by the device');

// Ends its sessions and subscriptions, on all nodes.
await owner.request(REMOVE_DEVICE, { deviceId: added.id });
console.log('removed');

type AddDevice = { addDevice: { device: { id: string }; username: string; password: string } };
type LogInDevice = { loginDevice: { token: string } };

function clientOf(token: string): GraphQLClient {
  return new GraphQLClient(graphqlUrl, { headers: { authorization: `Bearer ${token}` } });
}
