import { execute, oneLine } from './graphql.js';

const CREATE = `
  mutation Create($circle: ID!) {
    createConversation(circleId: $circle, name: "Side room", emails: []) { id legacyId eventCursor }
  }`;
const INVITE = `
  mutation Invite($id: ID!, $email: String!) { inviteToConversation(conversationId: $id, email: $email) { id } }`;
const KICK = `
  mutation Kick($id: ID!, $email: String!) { kickFromConversation(conversationId: $id, email: $email) { id } }`;
const EVENTS = `
  subscription SideRoomEvents($room: ID!, $after: Cursor) {
    conversationEvents(conversationId: $room, after: $after) { __typename cursor }
  }`;

/**
 * Connects the invitation to a second conversation, and the removal from it, which ends the conversation and all
 * subscriptions to it. `getClient` returns the client of the GraphQL side.
 */
export function connectSideRoom({ item, account, other, target, panel, getClient, onFrame, onEvent }) {
  const [invite, kick] = item.querySelectorAll('.buttons button');
  const run = (document, variables) => execute(document, variables, { token: account.token, onFrame });
  let room;

  const show = () => {
    invite.hidden = room !== undefined;
    kick.hidden = room === undefined;
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
  const follow = ({ id, eventCursor }) =>
    getClient().subscribe(
      { query: oneLine(EVENTS), variables: { room: id, after: eventCursor } },
      {
        next({ data }) {
          const { __typename: name } = data.conversationEvents;
          if (name !== 'StreamLive') onEvent(name, 'graphql', 'Side room');
        },
        error: ([{ extensions }]) => panel.addNote(`The side room ended: ${extensions.reason}.`),
        complete() {},
      },
    );
  connect(invite, async () => {
    room = (await run(CREATE, { circle: target.circle.id })).createConversation;
    follow(room);
    await run(INVITE, { id: room.id, email: other.email });
  });
  connect(kick, async () => {
    await run(KICK, { id: room.id, email: other.email });
    room = undefined;
  });
  show();
}
