// Writes src/page/demo/examples.json: the examples that the page shows as the code of an action.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = dirname(import.meta.dirname);
/** The example that each button with `data-code` shows. */
const EXAMPLES = {
  legacy: 'examples/socket.io/listen.ts',
  graphql: 'examples/graphql-ws/listen.ts',
  file: 'examples/apollo-client-4/upload.ts',
  call: 'examples/graphql-ws/call.ts',
  device: 'examples/graphql-request/device.ts',
  members: 'examples/graphql-request/members.ts',
  restart: 'examples/chat-node/chat.ts',
};
const examples = Object.entries(EXAMPLES).map(([name, path]) => [
  name,
  { path, text: readFileSync(join(root, path), 'utf8') },
]);
writeFileSync(
  join(root, 'src/page/demo/examples.json'),
  `${JSON.stringify(Object.fromEntries(examples), null, 2)}\n`,
);
