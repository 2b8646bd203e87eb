import { COMMANDS } from './commands/commands.ts';
import type { Command } from './commands/commands.ts';
import { VARIABLES } from './config-variables.ts';

/** The start of the server, a command, or output for the terminal. */
export type Invocation =
  | { readonly kind: 'start' }
  | { readonly kind: 'command'; readonly command: Command; readonly args: readonly string[] }
  | { readonly kind: 'output'; readonly text: string; readonly isError: boolean };

/** How the program was started: by npm in a checkout, or by its `bin` where the package is installed. */
export type Launcher = 'npm' | 'bin';

const WIDTH = 80;
const START = { npm: 'npm start', bin: 'parley' } as const;
const RUN = { npm: 'npm run ', bin: 'parley ' } as const;
/** Before options and arguments. */
const SEPARATOR = { npm: ' -- ', bin: ' ' } as const;

export function parseArguments(
  args: readonly string[],
  { version, launcher }: { readonly version: string; readonly launcher: Launcher },
): Invocation {
  const isHelp = args.some((arg) => /^(--help|-h)$/.test(arg));
  const [name, ...commandArgs] = args;
  const command = COMMANDS.find((known) => known.name === name);
  const unknown = (command === undefined ? args : commandArgs.slice(command.parameters.length)).find(
    (arg) => !/^(--help|-h|--version|-v)$/.test(arg),
  );
  if (unknown !== undefined)
    return { kind: 'output', text: describeUnknown(unknown, launcher), isError: true };
  if (isHelp) return { kind: 'output', text: formatHelp(version, launcher), isError: false };
  if (command !== undefined) return { kind: 'command', command, args: commandArgs };
  return args.length === 0 ? { kind: 'start' } : { kind: 'output', text: version, isError: false };
}

function describeUnknown(argument: string, launcher: Launcher): string {
  const [, name = '', value = '…'] = /^-*([\w-]+)(?:=(.*))?$/.exec(argument) ?? [];
  const variable = name.toUpperCase().replaceAll('-', '_');
  const start = START[launcher];
  const hint =
    variable in VARIABLES
      ? `Settings are environment variables: ${variable}=${value} ${start}`
      : `Settings are environment variables; ${start}${SEPARATOR[launcher]}--help lists them.`;
  return `Unknown argument ${argument}. ${hint}`;
}

function formatHelp(version: string, launcher: Launcher): string {
  const start = START[launcher];
  const usages = [
    [start, 'start the server on port 4000'],
    ...COMMANDS.map(({ name, parameters, description }) => {
      const options = parameters.map((parameter) => `[${parameter}]`).join(' ');
      return [`${RUN[launcher]}${name}${options && SEPARATOR[launcher]}${options}`, description];
    }),
    [`${start}${SEPARATOR[launcher]}--help`, 'print this help'],
    [`${start}${SEPARATOR[launcher]}--version`, 'print the version'],
  ];
  const variables = Object.entries(VARIABLES).map(([name, { default: fallback, description }]) =>
    [`  ${name}`, ...wrap(description, 6), ...wrap(`Default: ${fallback}`, 6)].join('\n'),
  );
  return [
    `Parley ${version}: a GraphQL subscriptions gateway with a Socket.IO bridge.`,
    '',
    ...usages.map(
      ([usage = '', description = ''], index) =>
        `${index === 0 ? 'Usage:' : '      '} ${usage.padEnd(38)} ${description}`,
    ),
    '',
    `Settings are environment variables, for example PORT=5000 ${start}:`,
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
