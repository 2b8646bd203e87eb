import { VARIABLES } from './config-variables.ts';

/** Output for the terminal. */
export interface CommandOutput {
  readonly text: string;
  readonly isError: boolean;
}

const WIDTH = 80;

/** Handles `--help`, `--version` and unknown arguments. Returns undefined without arguments: start the server. */
export function handleArguments(args: readonly string[], version: string): CommandOutput | undefined {
  const unknown = args.find((arg) => !/^(--help|-h|--version|-v)$/.test(arg));
  if (unknown !== undefined) return { text: describeUnknown(unknown), isError: true };
  if (args.some((arg) => /^(--help|-h)$/.test(arg))) return { text: formatHelp(version), isError: false };
  return args.length === 0 ? undefined : { text: version, isError: false };
}

function describeUnknown(argument: string): string {
  const [, name = '', value = '…'] = /^-*([\w-]+)(?:=(.*))?$/.exec(argument) ?? [];
  const variable = name.toUpperCase().replaceAll('-', '_');
  const hint =
    variable in VARIABLES
      ? `Settings are environment variables: ${variable}=${value} npm start`
      : 'Settings are environment variables; npm start -- --help lists them.';
  return `Unknown argument ${argument}. ${hint}`;
}

function formatHelp(version: string): string {
  const variables = Object.entries(VARIABLES).map(([name, { default: fallback, description }]) =>
    [`  ${name}`, ...wrap(description, 6), ...wrap(`Default: ${fallback}`, 6)].join('\n'),
  );
  return [
    `Parley ${version}: a GraphQL subscriptions gateway with a Socket.IO bridge.`,
    '',
    'Usage: npm start                    start the server (http://127.0.0.1:4000)',
    '       npm start -- --help          print this help',
    '       npm start -- --version       print the version',
    '',
    'Settings are environment variables, for example PORT=5000 npm start:',
    '',
    variables.join('\n\n'),
  ].join('\n');
}

/** Wraps Markdown text, without links and code marks, into indented lines of at most 80 columns. */
function wrap(markdown: string, indent: number): string[] {
  const lines: string[] = [];
  for (const word of markdown
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll('`', '')
    .split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && `${last} ${word}`.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(' '.repeat(indent) + word);
  }
  return lines;
}
