import { writeFile } from 'node:fs/promises';
import { ERROR_CODES } from '../src/errors.ts';
import type { ErrorCode } from '../src/errors.ts';
import { ACTORS, ACTOR_NAMES } from '../test/authorization/actors.ts';
import type { ActorName } from '../test/authorization/actors.ts';
import { REQUESTS, REQUEST_NAMES, ROUTES } from '../test/authorization/routes.ts';
import type { RequestName } from '../test/authorization/routes.ts';
import { SECTIONS } from '../test/authorization/rows.ts';
import type { Outcome, Row, Section } from '../test/authorization/rows.ts';

const LABELS: Readonly<Record<ActorName, string>> = {
  anonymous: 'anonymous',
  expired: 'expired',
  loggedOut: 'logged out',
  deleted: 'deleted',
  blocked: 'blocked',
  outsider: 'outsider',
  invitee: 'invitee',
  former: 'former member',
  member: 'member',
  participant: 'participant',
  admin: 'admin',
  device: 'device',
  otherDevice: 'other device',
};

const REQUEST_LABELS: Readonly<Record<RequestName, string>> = {
  local: 'local',
  remoteWithoutSetting: 'remote, no `ADMIN_TOKEN` set',
  remote: 'remote, no token',
  remoteAccount: 'remote, account',
  remoteOperator: 'remote, operator',
};

const SYMBOLS: ReadonlyMap<Outcome, string> = new Map([
  ['yes', '✓'],
  ['absent', '∅'],
  ['empty', '–'],
]);

const isCode = (outcome: Outcome): outcome is ErrorCode => Object.hasOwn(ERROR_CODES, outcome);

/** The texts that legacy clients receive, in order of occurrence. Their numbers stand for them in the table. */
const legacyTexts = [
  ...new Set(SECTIONS.channels.rows.flatMap(({ outcomes }) => ACTOR_NAMES.map((actor) => outcomes[actor]))),
].filter((outcome) => !SYMBOLS.has(outcome) && !isCode(outcome));

const formatOutcome = (outcome: Outcome): string =>
  SYMBOLS.get(outcome) ??
  (isCode(outcome) ? String(ERROR_CODES[outcome].http) : `E${legacyTexts.indexOf(outcome) + 1}`);

const formatRow = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const formatName = ({ name, variant }: Row): string =>
  variant === undefined ? `\`${name}\`` : `\`${name}\`, ${variant}`;

const formatSection = ({ title, rows }: Section): string =>
  [
    `## ${title}\n`,
    formatRow(['', ...ACTOR_NAMES.map((actor) => LABELS[actor])]),
    formatRow(['---', ...ACTOR_NAMES.map(() => ':-:')]),
    ...rows.map((row) =>
      formatRow([formatName(row), ...ACTOR_NAMES.map((actor) => formatOutcome(row.outcomes[actor]))]),
    ),
  ].join('\n');

const codes = (Object.keys(ERROR_CODES) as ErrorCode[]).filter((code) =>
  Object.values(SECTIONS).some(({ rows }) =>
    rows.some(({ outcomes }) => Object.values<Outcome>(outcomes).includes(code)),
  ),
);

const routes = [
  formatRow(['', ...REQUEST_NAMES.map((name) => REQUEST_LABELS[name])]),
  formatRow(['---', ...REQUEST_NAMES.map(() => ':-:')]),
  ...ROUTES.map(({ path, statuses }) =>
    formatRow([`\`${path}\``, ...REQUEST_NAMES.map((name) => String(statuses[name]).replace('200', '✓'))]),
  ),
].join('\n');

const { queries, fields, mutations, subscriptions, channels, media } = SECTIONS;

const text = `# Authorization

For app developers, operators and auditors: who may run each query, mutation, subscription, legacy channel and media request. This page
is generated from \`test/authorization/rows.ts\`: \`npm run drift\` regenerates it. \`test/authorization/matrix.test.ts\` runs every cell
against a running gateway, on both databases: queries over HTTP and WebSocket, subscriptions over WebSocket and Server-Sent Events, and
channels over Socket.IO. A new field, node type or channel fails the test until it has a row.

For every cell without ✓, the test also checks that the response contains no name, text or file name of the objects, and that no row of the
database has changed; for ∅ and 404, that the response is the same as for an id that does not exist.

## Callers

Everything belongs to one circle with one conversation, unless stated otherwise.

${ACTOR_NAMES.map((actor) => `- **${LABELS[actor]}**: ${ACTORS[actor]}`).join('\n')}

Tokens of a blocked account are refused, new ones of an identity provider, too; its login with the right password is \`FORBIDDEN\`.

## Symbols

- **✓**: allowed.
- **∅**: the result is null, as for an id that does not exist.
- **–**: the object is visible, but not what was selected of it: null or an empty list.
${codes.map((code) => `- **${ERROR_CODES[code].http}**: \`${code}\``).join('\n')}
- **E1** to **E${legacyTexts.length}**: the text that a legacy client receives on \`error\` ([legacy channels](#legacy-channels)).

A number is the HTTP status of the error’s code ([errors](errors.md)); the GraphQL response itself may have status 200. A token that is
expired, revoked or of a deleted or blocked account closes a WebSocket with 4403, even if the operation would need no token.

${formatSection(queries)}

${formatSection(fields)}

An invitation shows the circle and the two users of it, without more of either than names and e-mail addresses.

${formatSection(mutations)}

${formatSection(subscriptions)}

A subscription ends when its caller loses the access: after the event that removed it, with a reason ([errors](errors.md#end-reasons)).

${formatSection(channels)}

${legacyTexts.map((legacyText, index) => `- **E${index + 1}**: \`${legacyText}\``).join('\n')}

\`message\` is the one operation that distinguishes an unknown id from one that the caller may not see, as the contract of the legacy
clients requires: its text for an unknown conversation is \`Conversation introuvable\`.

${formatSection(media)}

## Other routes

Requests to them belong to no account:

${REQUEST_NAMES.map((name) => `- **${REQUEST_LABELS[name]}**: ${REQUESTS[name]}`).join('\n')}

A request is from elsewhere, too, when it has a header of a proxy, such as \`X-Forwarded-For\`. The numbers are HTTP statuses.
\`/demo/restart\` and \`/demo/phone\` tell everyone whether they are available; other methods are for the page of the demo, on the same machine.

${routes}

\`/graphql\` and \`/socket.io/\` serve the operations and channels above.
`;

await writeFile(new URL('../docs/authorization.md', import.meta.url), text);
